#include "npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(const char* file, const char* why) {
  fprintf(stderr, "%s: %s\n", file, why);
  exit(1);
}

size_t array_bytes(const Array* array) {
  size_t bytes = array->item;
  for (size_t i = 0; i < array->rank; ++i) bytes *= (size_t)array->shape[i];
  return bytes;
}

Array read_npy(const char* file) {
  FILE* in = fopen(file, "rb");
  if (in == NULL) refuse(file, "cannot be opened");
  unsigned char start[10];
  if (fread(start, 1, sizeof start, in) != sizeof start || memcmp(start, "\x93NUMPY\x01", 7) != 0) refuse(file, "is no .npy file of format 1");
  const size_t length = start[8] + 256u * start[9];
  char* header = calloc(length + 1, 1);
  if (fread(header, 1, length, in) != length) refuse(file, "is cut short");

  Array array = {{0}, 0, {0}, 0, NULL};
  const char* type = strstr(header, "'descr': '<");
  const char* shape = strstr(header, "'shape': (");
  if (type == NULL || shape == NULL || strstr(header, "'fortran_order': False") == NULL) refuse(file, "is not a little-endian array in C order");
  memcpy(array.type, type + strlen("'descr': '<"), 2);
  array.item = (size_t)(array.type[1] - '0');
  const char* at = shape + strlen("'shape': (");
  for (char* end; array.rank < 8; at = end + strspn(end, ", ")) {
    const long long size = strtoll(at, &end, 10);
    if (end == at) break;
    array.shape[array.rank++] = size;
  }
  free(header);
  array.data = malloc(array_bytes(&array) + 1);
  if (fread(array.data, 1, array_bytes(&array), in) != array_bytes(&array)) refuse(file, "is cut short");
  fclose(in);
  return array;
}

void write_npy(const char* file, const Array* array) {
  char shape[200] = "";
  for (size_t i = 0; i < array->rank; ++i) sprintf(shape + strlen(shape), "%lld, ", (long long)array->shape[i]);
  char header[300];
  const int text = snprintf(header, sizeof header, "{'descr': '<%s', 'fortran_order': False, 'shape': (%s), }", array->type, shape);
  const int length = (10 + text + 1 + 63) / 64 * 64 - 10; /* the data begin at a multiple of 64 */
  memset(header + text, ' ', (size_t)(length - text));
  header[length - 1] = '\n';

  FILE* out = fopen(file, "wb");
  if (out == NULL) refuse(file, "cannot be written");
  const unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)length, (unsigned char)(length >> 8)};
  fwrite(start, 1, sizeof start, out);
  fwrite(header, 1, (size_t)length, out);
  fwrite(array->data, 1, array_bytes(array), out);
  if (fclose(out) != 0) refuse(file, "cannot be written");
}
