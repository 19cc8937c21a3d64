/* Constants of the zstd and zstd seekable formats that both sides share. */
#ifndef CW_FORMATS_ZFRAME_LAYOUT_H
#define CW_FORMATS_ZFRAME_LAYOUT_H

#define DATA_MAGIC     0xfd2fb528u /* RFC 8878, section 3.1.1 */
#define PAD_MAGIC      0x184d2a50u /* RFC 8878, section 3.1.2 */
#define TABLE_MAGIC    0x184d2a5eu /* zstd seekable format */
#define SEEKABLE_MAGIC 0x8f92eab1u /* zstd seekable format, footer */
#define CONTENT_MAX    (1u << 30)  /* of a frame, zstd seekable format */

#endif
