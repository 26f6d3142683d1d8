// Sleeps as many milliseconds as its argument says (default: an hour), then prints "awake".
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char** argv) {
  const long long milliseconds = argc > 1 ? atoll(argv[1]) : 3600000;
  const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
  printf("awake");
  return 0;
}
