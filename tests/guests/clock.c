// Sleeps until a point in time 30 ms ahead on each clock and checks that the clocks agree; prints "ok".
#include <stdio.h>
#include <time.h>

static int sleeps_until(clockid_t clock) {
  struct timespec end;
  struct timespec now;
  clock_gettime(clock, &end);
  end.tv_nsec += 30000000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_nsec -= 1000000000;
    end.tv_sec += 1;
  }
  if (clock_nanosleep(clock, TIMER_ABSTIME, &end, NULL) != 0) return 0;
  clock_gettime(clock, &now);
  // The real-time clock may be set meanwhile; a second of tolerance keeps that out.
  const long long late = (now.tv_sec - end.tv_sec) * 1000000000LL + now.tv_nsec - end.tv_nsec;
  return late > -1000000000LL;
}

int main(void) {
  struct timespec resolution;
  if (clock_getres(CLOCK_MONOTONIC, &resolution) != 0) return 1;
  if (!sleeps_until(CLOCK_MONOTONIC)) return 2;
  if (!sleeps_until(CLOCK_REALTIME)) return 3;
  if (time(NULL) < 1700000000) return 4;
  printf("ok");
  return 0;
}
