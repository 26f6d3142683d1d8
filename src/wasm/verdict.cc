#include "wasm/verdict.h"

#include <array>

namespace proplet::wasm {
namespace {

constexpr std::size_t kMaxFrames = 8;
constexpr std::size_t kMaxFrameName = 80;
constexpr std::size_t kStderrInMessage = 400;  // bytes

std::string_view trap_name(wasmtime_trap_code_t code) {
  constexpr std::array<std::string_view, 17> kNames{
      "call stack exhausted",
      "out of bounds memory access",
      "misaligned memory access",
      "undefined element: out of bounds table access",
      "uninitialized element",
      "indirect call type mismatch",
      "integer overflow",
      "integer divide by zero",
      "invalid conversion to integer",
      "unreachable instruction executed",
      "interrupted",
      "out of fuel",
      "atomic wait on memory that is not shared",
      "null reference",
      "out of bounds array access",
      "allocation too large",
      "cast failure",
  };
  if (code == WASMTIME_TRAP_CODE_UNCAUGHT_EXCEPTION) return "uncaught exception";
  return code < kNames.size() ? kNames.at(code) : "trap of another kind";
}

// The innermost functions, as "a < b < c": a was called by b.
std::string frames_text(wasm_frame_vec_t frames) {
  std::string text;
  for (std::size_t i = 0; i < std::min(frames.size, kMaxFrames); ++i) {
    const wasm_name_t* name = wasmtime_frame_func_name(frames.data[i]);
    text += i == 0 ? " in " : " < ";
    text += name != nullptr ? one_line(name_view(*name), kMaxFrameName)
                            : fmt::format("function {}", wasm_frame_func_index(frames.data[i]));
  }
  if (frames.size > kMaxFrames) text += " < ...";
  wasm_frame_vec_delete(&frames);
  return text;
}

std::string trap_text(const wasm_trap_t& trap) {
  wasm_frame_vec_t frames;
  wasm_trap_trace(&trap, &frames);
  wasmtime_trap_code_t code = 0;
  if (wasmtime_trap_code(&trap, &code)) return std::string(trap_name(code)) + frames_text(frames);
  wasm_message_t message;
  wasm_trap_message(&trap, &message);
  std::string text = one_line(name_view(message), kStderrInMessage) + frames_text(frames);
  wasm_byte_vec_delete(&message);
  return text;
}

std::string with_stderr(const std::string& text, const RunState& state) {
  const std::string end = one_line(state.standard_error.end(kStderrInMessage), kStderrInMessage);
  return end.empty() ? text : text + ": " + end;
}

Error memory_limit(const wtx_limits_t& limits, std::string_view consequence) {
  return Error(Code::memory_limit, fmt::format("the guest asked for more than the {} bytes of memory it may have; {}",
                                               limits.limit_bytes, consequence));
}

Status exit_verdict(std::uint32_t code, const RunState& state, const wtx_limits_t& limits) {
  if (code == 0) return {};
  const std::string text = with_stderr(fmt::format("guest exited with code {}", code), state);
  if (limits.limit_hit) return fail(memory_limit(limits, text));
  return fail(Error(Code::guest_exit, text));
}

Status error_verdict(const wasmtime_error_t& error, const wtx_limits_t& limits) {
  const std::string text = text_of(error);
  if (limits.limit_hit) return fail(memory_limit(limits, text));
  if (text.find("maximum concurrent") != std::string::npos) {
    return fail(Code::task_limit_reached, "no room for another guest: {}", text);
  }
  return fail(Code::guest_trap, "the guest failed: {}", text);
}

}  // namespace

Status verdict(const Answer& answer, const RunState& state, const wtx_limits_t& limits) {
  if (!answer.error && !answer.trap) return {};
  if (state.interruption == Interruption::stopped) return fail(Code::task_stopped, "the task was stopped");
  if (state.interruption == Interruption::timed_out) {
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(*state.deadline - state.start);
    return fail(Code::task_timeout, "the task ran longer than {} ms", limit.count());
  }
  if (state.exit_code) return exit_verdict(*state.exit_code, state, limits);
  if (answer.trap) {
    const std::string text = with_stderr(trap_text(*answer.trap), state);
    if (limits.limit_hit) return fail(memory_limit(limits, text));
    return fail(Error(Code::guest_trap, text));
  }
  return error_verdict(*answer.error, limits);
}

}  // namespace proplet::wasm
