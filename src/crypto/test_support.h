// For the tests of this folder: vectors, and command-line tools such as jose and openssl as a second opinion.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"

namespace proplet::crypto::testing {

inline json::value vector_json(std::string_view name) {
  const auto path = fmt::format("{}/jose/{}", PROPLET_VECTORS, name);
  return json::parse(read_text_file(path, std::size_t{1} << 20).value()).value();
}

inline std::string text(const json::value& object, std::string_view name) {
  return json::required_string(object.as_object(), name).value();
}

inline Bytes hex(std::string_view text) { return hex_decode(text).value(); }

// A folder of its own for each test, removed at the end; `run` executes a shell command in it and returns its output.
class ToolTest : public ::testing::Test {
 protected:
  ToolTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "proplet-crypto-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ToolTest() override { std::filesystem::remove_all(folder_); }

  std::string run(const std::string& command) {
    const auto closer = [](FILE* pipe) { ::pclose(pipe); };
    const auto line = "cd '" + folder_.string() + "' && " + command;
    std::unique_ptr<FILE, decltype(closer)> pipe(::popen(line.c_str(), "r"), closer);
    std::string output;
    std::array<char, 4096> buffer{};
    while (const auto size = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
      output.append(buffer.data(), size);
    exit_status_ = ::pclose(pipe.release());
    return output;
  }
  void write(std::string_view name, std::string_view content) {
    ASSERT_TRUE(write_file_atomically((folder_ / name).string(), bytes_of(content), 0600));
  }
  json::object read_object(std::string_view name) {
    return json::parse_object(read_text_file((folder_ / name).string(), 65536).value()).value();
  }
  std::string read(std::string_view name) { return read_text_file((folder_ / name).string(), 65536).value(); }

  std::filesystem::path folder_;
  int exit_status_ = 0;
};

}  // namespace proplet::crypto::testing
