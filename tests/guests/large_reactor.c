// A library of ordinary size (about 125 KB): formatted output, sorting, the environment and error texts come along;
// what is called is `add`.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }

__attribute__((export_name("report"))) void report(double* values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  for (int i = 0; i < count; ++i) {
    printf("%.3f %g\n", values[i], values[i]);
    fprintf(stderr, "%d\n", i);
  }
  puts(strerror(errno));
  puts(getenv("GREETING"));
  fflush(NULL);
}
