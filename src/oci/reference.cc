#include "oci/reference.h"

#include <algorithm>

namespace proplet::oci {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubApi = "registry-1.docker.io";
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxTagBytes = 128;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

// Calls `check` for every part of `text` between separators; true when it holds for all of them.
template <class Check>
bool every_part(std::string_view text, char separator, Check check) {
  while (true) {
    const auto end = text.find(separator);
    if (!check(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool is_domain(std::string_view text) {
  const auto colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit)) return false;
  }
  return every_part(text.substr(0, colon), '.', [](std::string_view label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; });
  });
}

// "." or "_" or "__" or dashes between two alphanumeric runs.
bool is_separator(std::string_view run) {
  if (run == "." || run == "_" || run == "__") return true;
  return std::all_of(run.begin(), run.end(), [](char c) { return c == '-'; });
}

bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (auto position = text.begin(); position != text.end();) {
    const auto run_end = std::find_if(position, text.end(), is_lower_alnum);
    if (run_end != position && !is_separator({position, run_end})) return false;
    position = std::find_if_not(run_end, text.end(), is_lower_alnum);
  }
  return true;
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kMaxTagBytes || (!is_alnum(text.front()) && text.front() != '_')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool looks_like_image_id(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

bool names_registry(std::string_view component) {
  return component.find_first_of(".:") != std::string_view::npos || component == "localhost";
}

struct Name {
  std::string registry;
  std::string repository;
};

Result<Name> parse_name(std::string_view text) {
  const auto slash = text.find('/');
  Name name{.registry = std::string(kDockerHub), .repository = std::string(text)};
  if (slash != std::string_view::npos && names_registry(text.substr(0, slash))) {
    name.registry = text.substr(0, slash);
    name.repository = text.substr(slash + 1);
    if (!is_domain(name.registry)) return fail(Code::reference_invalid, "invalid registry name");
  }
  if (name.registry == "index.docker.io" || name.registry == kDockerHubApi) name.registry = kDockerHub;
  if (!every_part(name.repository, '/', is_path_component)) {
    return fail(Code::reference_invalid,
                "invalid repository name; it consists of lower-case letters, digits and single separators");
  }
  if (name.registry == kDockerHub && name.repository.find('/') == std::string::npos) {
    name.repository.insert(0, "library/");
  }
  if (name.registry.size() + 1 + name.repository.size() > kMaxNameBytes) {
    return fail(Code::reference_invalid, "name is longer than {} characters", kMaxNameBytes);
  }
  return name;
}

}  // namespace

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) return fail(Code::reference_invalid, "image reference is empty");
  if (text.find("://") != std::string_view::npos) {
    return fail(Code::reference_invalid, "an image reference has no scheme such as docker://");
  }
  if (looks_like_image_id(text)) return fail(Code::reference_invalid, "64 hexadecimal digits are not an image name");
  Reference reference;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    auto digest = Digest::parse(text.substr(at + 1));
    if (!digest) return fail(Code::reference_invalid, "{}", digest.error().message());
    reference.digest_ = std::move(*digest);
    text = text.substr(0, at);
  }
  const auto colon = text.rfind(':');
  const bool has_tag = colon != std::string_view::npos && text.find('/', colon) == std::string_view::npos;
  if (has_tag) {
    reference.tag_ = text.substr(colon + 1);
    if (!is_tag(reference.tag_)) return fail(Code::reference_invalid, "invalid tag");
    text = text.substr(0, colon);
  }
  TRY_ASSIGN(auto name, parse_name(text));
  reference.registry_ = std::move(name.registry);
  reference.repository_ = std::move(name.repository);
  if (!has_tag && !reference.digest_) reference.tag_ = "latest";
  return reference;
}

std::string Reference::api_host() const { return registry_ == kDockerHub ? std::string(kDockerHubApi) : registry_; }

std::string Reference::text() const {
  auto text = registry_ + "/" + repository_;
  if (!tag_.empty()) text += ":" + tag_;
  if (digest_) text += "@" + digest_->text();
  return text;
}

Reference Reference::with_digest(Digest digest) const {
  Reference reference = *this;
  reference.digest_ = std::move(digest);
  return reference;
}

}  // namespace proplet::oci
