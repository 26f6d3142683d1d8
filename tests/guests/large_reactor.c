// A library of ordinary size (about 100 KB): formatted floating point output and sorting come along, `add` is called.
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void* a, const void* b) { return *(const int*)a - *(const int*)b; }

__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }
__attribute__((export_name("report"))) void report(int* values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  for (int i = 0; i < count; ++i) printf("%d %.3f\n", values[i], values[i] / 3.0);
}
