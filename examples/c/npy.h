/* Reads and writes arrays as numpy.save does (format 1.0, C order), as far as the example needs it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Array {
  char type[4]; /* numpy's name of the type: f4, f2 or i8 */
  size_t item;  /* bytes of one number */
  int64_t shape[8];
  size_t rank;
  void* data;
} Array;

size_t array_bytes(const Array* array);

/* Both end the process with a message that names the file where it cannot be read or written. */
Array read_npy(const char* file);
void write_npy(const char* file, const Array* array);
