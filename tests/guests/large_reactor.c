// A library of ordinary size (a little over 100 KB): formatted floating point input and output and sorting come along;
// what is called is `add`.
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }

// Sorts the numbers of a text and prints them.
__attribute__((export_name("report"))) int report(void) {
  static char text[] = "3.5 1.25 2.75";
  double values[3];
  const int count = sscanf(text, "%lf %lf %lf", &values[0], &values[1], &values[2]);
  qsort(values, (size_t)count, sizeof *values, by_value);
  for (int i = 0; i < count; ++i) printf("%.3f\n", values[i]);
  return count;
}
