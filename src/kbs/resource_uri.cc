#include <algorithm>
#include <array>

#include "kbs/client.h"

namespace proplet::kbs {
namespace {

constexpr std::string_view kScheme = "kbs://";
constexpr std::size_t kMaxUriBytes = 1024;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool is_segment(std::string_view text) {
  return !text.empty() && is_word(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_word(c) || c == '.'; });
}

bool is_resource_path(std::string_view path) {
  int segments = 1;
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    if (!is_segment(path.substr(0, slash))) return false;
    path.remove_prefix(slash + 1);
    ++segments;
  }
  return segments == 3 && is_segment(path);
}

// "host" or "host:port"; the host is only carried along, never resolved.
bool is_host(std::string_view host) {
  const auto fits = [](char c) { return is_word(c) || c == '.' || c == ':' || c == '[' || c == ']'; };
  return host.size() <= 255 && std::ranges::all_of(host, fits);
}

}  // namespace

Result<ResourceUri> ResourceUri::parse(std::string_view text) {
  if (text.size() > kMaxUriBytes) return fail(Code::format_invalid, "the resource URI is too long");
  ResourceUri uri;
  auto path = text;
  if (text.starts_with(kScheme)) {
    path.remove_prefix(kScheme.size());
    const auto slash = path.find('/');
    if (slash == std::string_view::npos) {
      return fail(Code::format_invalid, "the resource URI has no path; write kbs:///repository/type/tag");
    }
    uri.host_ = path.substr(0, slash);
    path.remove_prefix(slash + 1);
    if (!is_host(uri.host_)) return fail(Code::format_invalid, "the resource URI has a malformed host");
  } else if (path.starts_with('/')) {
    path.remove_prefix(1);
  }
  if (!is_resource_path(path)) {
    return fail(Code::format_invalid,
                "a resource is named kbs:///repository/type/tag: three segments of letters, digits, '_', '-' and, "
                "but not first, '.'{}",
                uri.host_.empty() ? "" : "; with two slashes the first segment is the host");
  }
  uri.path_ = path;
  return uri;
}

}  // namespace proplet::kbs
