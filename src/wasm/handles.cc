#include "wasm/handles.h"

namespace proplet::wasm {
namespace {

constexpr std::size_t kMaxErrorText = 400;

}  // namespace

std::string one_line(std::string_view text, std::size_t limit) {
  std::string line;
  bool space = false;
  for (const char c : text) {
    if (line.size() >= limit) return line + "...";
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) {
      space = !line.empty();
      continue;
    }
    if (space) line += ' ';
    space = false;
    line += c;
  }
  return line;
}

std::string text_of(const wasmtime_error_t& error) {
  wasm_name_t message;
  wasmtime_error_message(&error, &message);
  std::string text = one_line(name_view(message), kMaxErrorText);
  wasm_name_delete(&message);
  return text;
}

}  // namespace proplet::wasm
