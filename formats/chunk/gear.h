/*
 * The random numbers that stand for the bytes of content in the rolling hash
 * of formats/chunk/SPEC.md.  For the cutter and its tests alone.
 */
#ifndef CW_FORMATS_CHUNK_GEAR_H
#define CW_FORMATS_CHUNK_GEAR_H

#include <stdint.h>

extern const uint64_t cw_chunk_gear[256];

#endif
