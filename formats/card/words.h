/*
 * The words in which fingerprints are read out: one for each byte.  The list
 * is part of formats/card/SPEC.md and never changes.
 */
#ifndef CW_FORMATS_CARD_WORDS_H
#define CW_FORMATS_CARD_WORDS_H

#define CW_CARD_WORD_MAX 8u /* letters of the longest */

extern const char *const cw_card_words[256];

#endif
