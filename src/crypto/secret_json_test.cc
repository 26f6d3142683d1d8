#include "crypto/secret_json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace proplet::crypto {
namespace {

// A memory resource that looks at every block just before it is given back.
class WatchedMemory final : public boost::json::memory_resource {
 public:
  explicit WatchedMemory(std::string secret) : secret_(std::move(secret)) {}
  [[nodiscard]] int blocks() const { return blocks_; }
  [[nodiscard]] int leaks() const { return leaks_; }

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    ++blocks_;
    return ::operator new(size, std::align_val_t(alignment));
  }
  void do_deallocate(void* block, std::size_t size, std::size_t alignment) override {
    if (std::string_view(static_cast<const char*>(block), size).find(secret_) != std::string_view::npos) ++leaks_;
    ::operator delete(block, std::align_val_t(alignment));
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::string secret_;
  int blocks_ = 0;
  int leaks_ = 0;
};

constexpr std::string_view kSecret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

json::object nested(boost::json::storage_ptr memory) {
  const auto text = fmt::format(R"({{"k":"{0}","list":["{0}",{{"deep":"{0}"}}]}})", kSecret);
  return boost::json::parse(text, std::move(memory)).as_object();
}

TEST(SecretJson, WipesEveryStringBeforeItsMemoryIsGivenBack) {
  WatchedMemory unguarded{std::string(kSecret)};
  {
    const auto object = nested(&unguarded);
  }
  EXPECT_GE(unguarded.leaks(), 3);  // the watch does see what is not wiped

  WatchedMemory guarded{std::string(kSecret)};
  {
    const SecretJson json(nested(&guarded));
  }
  EXPECT_GT(guarded.blocks(), 0);
  EXPECT_EQ(guarded.leaks(), 0);
}

TEST(SecretJson, MovesItsObject) {
  auto first = SecretJson::parse(bytes_of(R"({"a":"b"})")).value();
  const auto second = std::move(first);
  EXPECT_EQ(string_member(second.object(), "a").value(), "b");
}

TEST(SecretJson, RefusesWhatIsNotAnObject) {
  EXPECT_FALSE(SecretJson::parse(bytes_of("[]")));
  EXPECT_FALSE(SecretJson::parse(bytes_of(R"({"a":1,"a":2})")));
  EXPECT_FALSE(SecretJson::parse(bytes_of("{\"a\":1}"), {.bytes = 3, .depth = 4}));
}

TEST(StringMember, NamesTheMember) {
  const json::object object = {{"number", 1}, {"text", "x"}};
  EXPECT_EQ(string_member(object, "text").value(), "x");
  EXPECT_NE(string_member(object, "number").error().text().find("number"), std::string::npos);
  EXPECT_NE(string_member(object, "none").error().text().find("none"), std::string::npos);
}

}  // namespace
}  // namespace proplet::crypto
