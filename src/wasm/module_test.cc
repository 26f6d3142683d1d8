#include "wasm/module.h"

#include <gmock/gmock.h>

#include <thread>

#include "wasm/module_cache.h"
#include "wasm/test_guest.h"

namespace proplet::wasm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes bytes_from(std::string_view text) { return {text.begin(), text.end()}; }

TEST(Module, DescribesItsFunctions) {
  const auto module = guest("numbers");
  const FunctionExport* mixed = module->find_function("mixed");
  ASSERT_NE(mixed, nullptr);
  EXPECT_THAT(mixed->type.parameters, ElementsAre(ValueType::i32, ValueType::i64, ValueType::f32, ValueType::f64));
  EXPECT_THAT(mixed->type.results, ElementsAre(ValueType::f64));
  EXPECT_THAT(module->find_function("reference")->type.results, ElementsAre(ValueType::other));
  EXPECT_EQ(module->find_function("absent"), nullptr);
  EXPECT_GT(module->code_bytes(), 0U);
}

struct Refused {
  const char* what;
  std::string bytes;
  Code code;
};

TEST(Module, RefusesWhatIsNoCoreModule) {
  const Refused cases[] = {
      {"nothing", "", Code::module_invalid},
      {"the magic alone", std::string("\0asm", 4), Code::module_invalid},
      {"machine code",
       "\x7f"
       "ELF\x02\x01\x01 some more bytes",
       Code::module_invalid},
      {"text format", "(module (func (export \"run\")))", Code::module_invalid},
      {"a script", "#!/bin/sh\necho hello\n", Code::module_invalid},
      {"a component", std::string("\0asm\x0d\0\1\0", 8), Code::unsupported},
      {"an early component", std::string("\0asm\x0a\0\1\0", 8), Code::unsupported},
      {"a future version", std::string("\0asm\2\0\0\0", 8), Code::module_invalid},
      {"an unknown section", std::string("\0asm\1\0\0\0\x63\1\0", 11), Code::module_invalid},
      {"a truncated section", std::string("\0asm\1\0\0\0\1\x7f", 10), Code::module_invalid},
  };
  for (const auto& [what, bytes, code] : cases) {
    const auto module = Module::compile(test_engine(), bytes_of(bytes));
    ASSERT_FALSE(module) << what;
    EXPECT_EQ(module.error().code(), code) << what << ": " << module.error().text();
  }
}

TEST(Module, RefusesEveryTruncationWithoutCrashing) {
  const Bytes whole = guest_bytes("numbers");
  for (std::size_t length = 9; length + 1 < whole.size(); length += 13) {
    const auto module = Module::compile(test_engine(), ByteView(whole).first(length));
    ASSERT_TRUE(module || module.error().code() == Code::module_invalid) << length;
  }
}

TEST(Module, RefusesMoreBytesThanAllowed) {
  Engine engine({.pooling = false, .max_module_bytes = 100});
  const auto module = Module::compile(engine, guest_bytes("hello"));
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::size_limit);
}

TEST(Module, NamesAMissingImport) {
  const auto module = Module::compile(test_engine(), guest_bytes("missing_import"));
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::import_missing);
  EXPECT_THAT(module.error().text(), HasSubstr("env::fire_missile"));
}

TEST(Module, RefusesSixtyFourBitMemories) {
  const auto module = Module::compile(test_engine(), guest_bytes("memory64"));
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::module_invalid);
}

void append_number(std::string& bytes, std::size_t number) {
  do {
    const auto low = static_cast<std::uint8_t>(number & 0x7f);
    number >>= 7;
    bytes += static_cast<char>(low | (number != 0 ? 0x80 : 0));
  } while (number != 0);
}

void append_section(std::string& bytes, char id, const std::string& content) {
  bytes += id;
  append_number(bytes, content.size());
  bytes += content;
}

// A module of `count` functions that return 7; the last one is exported as "last".
std::string module_with_functions(std::size_t count) {
  std::string types("\1\x60\0\1\x7f", 5);
  std::string functions;
  append_number(functions, count);
  functions.append(count, '\0');
  std::string exports("\1\4last\0", 7);
  append_number(exports, count - 1);
  std::string code;
  append_number(code, count);
  for (std::size_t i = 0; i < count; ++i) code += std::string("\4\0\x41\7\x0b", 5);
  std::string bytes("\0asm\1\0\0\0", 8);
  append_section(bytes, 1, types);
  append_section(bytes, 3, functions);
  append_section(bytes, 7, exports);
  append_section(bytes, 10, code);
  return bytes;
}

TEST(Module, CompilesTenThousandFunctions) {
  const auto module = Module::compile(test_engine(), bytes_of(module_with_functions(10000)));
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_NE((*module)->find_function("last"), nullptr);
}

TEST(ModuleCache, CompilesAModuleOnceForAllWhoWantIt) {
  ModuleCache cache(test_engine(), {});
  const Bytes bytes = guest_bytes("hello");
  std::vector<std::shared_ptr<const Module>> modules(8);
  {
    std::vector<std::jthread> threads;
    for (auto& module : modules) {
      threads.emplace_back([&] {
        auto result = cache.get(SecretBytes::copy_of(bytes), "sha256:hello", {});
        if (result) module = *result;
      });
    }
  }
  EXPECT_NE(modules.front(), nullptr);
  for (const auto& module : modules) EXPECT_EQ(module, modules.front());
  EXPECT_EQ(cache.counts().compilations, 1U);
  EXPECT_EQ(cache.counts().modules, 1U);
}

TEST(ModuleCache, KeepsNothingWithoutAKey) {
  ModuleCache cache(test_engine(), {});
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(cache.get(SecretBytes::copy_of(guest_bytes("spin")), std::nullopt, {}));
  EXPECT_EQ(cache.counts().compilations, 2U);
  EXPECT_EQ(cache.counts().modules, 0U);
}

TEST(ModuleCache, ForgetsTheLeastRecentlyUsed) {
  ModuleCache cache(test_engine(), {.modules = 2});
  const auto get = [&](const char* name) { return cache.get(SecretBytes::copy_of(guest_bytes(name)), name, {}); };
  ASSERT_TRUE(get("spin"));
  ASSERT_TRUE(get("traps"));
  ASSERT_TRUE(get("spin"));     // a hit, which makes traps the oldest
  ASSERT_TRUE(get("numbers"));  // drops traps
  EXPECT_EQ(cache.counts().compilations, 3U);
  ASSERT_TRUE(get("spin"));
  EXPECT_EQ(cache.counts().compilations, 3U);
  ASSERT_TRUE(get("traps"));
  EXPECT_EQ(cache.counts().compilations, 4U);
  EXPECT_EQ(cache.counts().modules, 2U);
}

TEST(ModuleCache, IsBoundedInBytes) {
  const std::size_t one = guest("spin")->code_bytes();
  ModuleCache cache(test_engine(), {.modules = 100, .code_bytes = one * 2});
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(cache.get(SecretBytes::copy_of(guest_bytes("spin")), key, {}));
  }
  EXPECT_EQ(cache.counts().modules, 2U);
  EXPECT_LE(cache.counts().code_bytes, one * 2);
}

TEST(ModuleCache, RemembersNoFailure) {
  ModuleCache cache(test_engine(), {});
  const auto broken = cache.get(SecretBytes::copy_of(bytes_from("garbage")), "key", {});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code(), Code::module_invalid);
  EXPECT_TRUE(cache.get(SecretBytes::copy_of(guest_bytes("spin")), "key", {}));
}

TEST(ModuleCache, StopsWaitingWhenAskedTo) {
  ModuleCache cache(test_engine(), {});
  const std::string large = module_with_functions(3000);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = cache.get(SecretBytes::copy_of(bytes_of(large)), "large", stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Code::task_stopped);
  // Compiled once, whether or not the first compilation had begun.
  EXPECT_TRUE(cache.get(SecretBytes::copy_of(bytes_of(large)), "large", {}));
  EXPECT_EQ(cache.counts().compilations, 1U);
}

TEST(ModuleCache, DropsCompilationsThatNobodyWaitsForAnyMore) {
  ModuleCache cache(test_engine(), {});
  const std::string large = module_with_functions(3000);
  std::stop_source stop;
  stop.request_stop();
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(cache.get(SecretBytes::copy_of(bytes_of(large)), std::to_string(i), stop.get_token()));
  }
  EXPECT_LT(cache.counts().compilations, 50U);
}

}  // namespace
}  // namespace proplet::wasm
