#include "oci/challenge.h"

#include <algorithm>
#include <optional>

namespace proplet::oci {
namespace {

constexpr std::size_t kMaxHeaderBytes = 8192;
constexpr std::size_t kMaxChallenges = 8;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

// Reads the header from left to right. A name followed by "=" is a parameter, any other name begins a challenge.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  void skip(std::string_view characters) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(characters), rest_.size()));
  }

  std::string token() {
    const auto end = std::min(rest_.find_first_of(" \t,=\""), rest_.size());
    std::string token(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return token;
  }

  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // A token or a quoted string with backslash escapes; nothing when the closing quote is missing.
  std::optional<std::string> value() {
    if (!take('"')) return token();
    std::string value;
    while (!rest_.empty()) {
      if (take('"')) return value;
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      value += rest_.front();
      rest_.remove_prefix(1);
    }
    return std::nullopt;
  }

 private:
  std::string_view rest_;
};

struct ParsedChallenge {
  std::string scheme;
  Challenge challenge;
};

void set_parameter(Challenge& challenge, const std::string& name, std::string value) {
  if (name == "realm") {
    challenge.realm = std::move(value);
  } else if (name == "service") {
    challenge.service = std::move(value);
  } else if (name == "scope") {
    challenge.scope = std::move(value);
  }
}

std::vector<ParsedChallenge> read_all(std::string_view header) {
  std::vector<ParsedChallenge> list;
  Reader reader(header);
  for (reader.skip(" \t,"); !reader.at_end(); reader.skip(" \t,")) {
    const auto name = lower(reader.token());
    reader.skip(" \t");
    if (!reader.take('=')) {
      if (name.empty() || list.size() == kMaxChallenges) return list;
      list.push_back({name, {}});
      continue;
    }
    reader.skip(" \t");
    auto value = reader.value();
    if (!value || list.empty()) return list;
    set_parameter(list.back().challenge, name, std::move(*value));
  }
  return list;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> supported;
  for (auto& [scheme, challenge] : read_all(header.substr(0, kMaxHeaderBytes))) {
    if (scheme != "basic" && scheme != "bearer") continue;
    challenge.scheme = scheme == "basic" ? Challenge::Scheme::basic : Challenge::Scheme::bearer;
    supported.push_back(std::move(challenge));
  }
  return supported;
}

std::vector<Challenge> challenges_of(const net::HttpResponse& response) {
  std::vector<Challenge> all;
  for (const auto& [name, value] : response.headers) {
    if (name != "www-authenticate") continue;
    for (auto& challenge : parse_challenges(value)) all.push_back(std::move(challenge));
  }
  return all;
}

}  // namespace proplet::oci
