// Runs a fuzz target over every file of the folders given, without a fuzzer. Fails if there is none.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "base/fd.h"
#include "fuzz.h"

namespace {

constexpr std::size_t kMaxSeedBytes = std::size_t{16} << 20;

int replay(int count, char** folders) {
  int inputs = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folders[i])) {
      if (!entry.is_regular_file()) continue;
      const auto bytes = proplet::read_file(entry.path().string(), kMaxSeedBytes);
      if (!bytes) {
        std::fprintf(stderr, "%s\n", bytes.error().text().c_str());
        return 1;
      }
      std::printf("%s\n", entry.path().c_str());
      std::fflush(stdout);
      LLVMFuzzerTestOneInput(bytes->data(), bytes->size());
      ++inputs;
    }
  }
  std::printf("%d inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return replay(count, arguments);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "%s\n", exception.what());
    return 1;
  }
}
