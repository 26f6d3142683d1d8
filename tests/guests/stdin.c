// Reads stdin to its end and prints how many bytes there were.
#include <stdio.h>

int main(void) {
  int bytes = 0;
  while (getchar() != EOF) ++bytes;
  printf("%d", bytes);
  return 0;
}
