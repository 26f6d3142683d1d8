// A library of ordinary size (over 100 KB): formatted floating point input and output, sorting and time come along; what
// is called is `add`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }

// Reads numbers from stdin, prints them sorted with the time.
__attribute__((export_name("report"))) int report(void) {
  double values[64];
  int count = 0;
  char line[256];
  while (count < 64 && fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "%lf", &values[count]) == 1) ++count;
  }
  qsort(values, (size_t)count, sizeof *values, by_value);
  const time_t now = time(NULL);
  char text[64];
  strftime(text, sizeof text, "%A %d %B %Y %H:%M:%S", gmtime(&now));
  for (int i = 0; i < count; ++i) printf("%s %.3f %s\n", text, values[i], strerror(i));
  return count;
}
