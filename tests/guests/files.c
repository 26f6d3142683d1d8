// files read PATH | write PATH TEXT | link TARGET PATH | list PATH: does that and prints what it found, or the error.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failed(void) {
  printf("error: %s", strerror(errno));
  return 0;
}

static int read_file(const char* path) {
  char text[256];
  const int file = open(path, O_RDONLY);
  if (file < 0) return failed();
  const ssize_t length = read(file, text, sizeof text - 1);
  if (length < 0) return failed();
  text[length] = 0;
  printf("%s", text);
  return 0;
}

static int write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || write(file, text, strlen(text)) < 0) return failed();
  printf("written");
  return 0;
}

static int list(const char* path) {
  DIR* directory = opendir(path);
  if (directory == NULL) return failed();
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) printf("%s\n", entry->d_name);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "read") == 0) return read_file(argv[2]);
  if (argc == 4 && strcmp(argv[1], "write") == 0) return write_file(argv[2], argv[3]);
  if (argc == 3 && strcmp(argv[1], "list") == 0) return list(argv[2]);
  if (argc == 4 && strcmp(argv[1], "link") == 0) {
    if (symlink(argv[2], argv[3]) != 0) return failed();
    printf("linked");
    return 0;
  }
  return 2;
}
