#include "net/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "net/address.h"

namespace proplet::net {
namespace {

constexpr std::size_t kMaxUrlBytes = 16384;  // signed storage URLs reach a few KiB

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_lower);
  return result;
}

// RFC 3986 without the characters it never allows; square brackets occur raw in real query strings.
bool is_path_or_query(char c) {
  return c > 0x20 && c < 0x7f && std::string_view("\"<>\\^`{|}#").find(c) == std::string_view::npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<std::uint32_t> ipv4(std::string_view host) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::optional<in6_addr> ipv6(std::string_view host) {
  if (host.size() < 2 || host.front() != '[') return std::nullopt;
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &address) != 1) return std::nullopt;
  return address;
}

// "[::1]" in its one canonical spelling.
Result<std::string> parse_ipv6_host(std::string_view host) {
  const auto address = ipv6(host);
  if (host.back() != ']' || !address) return fail(Code::format_invalid, "URL has an invalid IPv6 address");
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &*address, text.data(), text.size());
  return "[" + std::string(text.data()) + "]";
}

// The last label decides whether resolvers read a host as a number (WHATWG URL, "ends in a number").
bool ends_in_number(std::string_view host) {
  const auto label = host.substr(host.rfind('.') + 1);
  if (std::all_of(label.begin(), label.end(), is_digit)) return true;
  return label.starts_with("0x");
}

Result<std::string> parse_host(std::string_view text) {
  auto host = lower(text);
  if (host.empty()) return fail(Code::format_invalid, "URL has no host");
  if (host.size() > 255) return fail(Code::format_invalid, "URL has a host of more than 255 characters");
  if (host.front() == '[') return parse_ipv6_host(host);
  bool label_is_empty = true;
  for (const char c : host) {
    if (!is_digit(c) && !is_alpha(c) && c != '-' && c != '_' && c != '.') {
      return fail(Code::format_invalid, "URL has an invalid host");
    }
    if (c == '.' && label_is_empty) return fail(Code::format_invalid, "URL has an invalid host");
    label_is_empty = c == '.';
  }
  if (label_is_empty) return fail(Code::format_invalid, "URL has an invalid host");
  if (ends_in_number(host) && !ipv4(host)) return fail(Code::format_invalid, "URL has an invalid IPv4 address");
  return host;
}

struct Authority {
  std::string host;
  std::optional<std::uint16_t> port;
};

Result<Authority> parse_authority(std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return fail(Code::format_invalid, "URL contains user information; credentials do not belong in URLs");
  }
  const auto colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  Authority authority;
  if (has_port) {
    authority.port = parse_port(text.substr(colon + 1));
    if (!authority.port) return fail(Code::format_invalid, "URL has an invalid port");
  }
  TRY_ASSIGN(authority.host, parse_host(has_port ? text.substr(0, colon) : text));
  return authority;
}

// RFC 3986 section 5.2.4 for absolute paths.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> segments;
  bool ends_in_folder = false;
  std::size_t begin = 1;
  while (begin <= path.size()) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto segment = path.substr(begin, end - begin);
    ends_in_folder = segment == "." || segment == "..";
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!ends_in_folder) segments.push_back(segment);
    begin = end + 1;
  }
  if (ends_in_folder) segments.emplace_back();
  std::string result;
  for (const auto segment : segments) result.append("/").append(segment);
  return result.empty() ? "/" : result;
}

std::size_t end_of_scheme(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front())) return 0;
  const auto scheme = text.substr(0, colon);
  const bool valid = std::all_of(scheme.begin(), scheme.end(),
                                 [](char c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; });
  return valid ? colon : 0;
}

bool is_internal_ipv4(std::uint32_t address) {
  struct Net {
    std::uint32_t prefix;
    int bits;
  };
  static constexpr std::array<Net, 9> kNets{{
      {0x00000000, 8},   // this network, unspecified
      {0x0a000000, 8},   // private
      {0x64400000, 10},  // carrier-grade NAT
      {0x7f000000, 8},   // loopback
      {0xa9fe0000, 16},  // link-local: cloud metadata services
      {0xac100000, 12},  // private
      {0xc0a80000, 16},  // private
      {0xe0000000, 4},   // multicast
      {0xf0000000, 4},   // reserved, broadcast
  }};
  return std::any_of(kNets.begin(), kNets.end(),
                     [&](const Net& net) { return (address >> (32 - net.bits)) == (net.prefix >> (32 - net.bits)); });
}

// The IPv4 address inside an IPv6 address.
std::uint32_t last_four(const in6_addr& address) {
  const std::span<const std::uint8_t, 16> bytes(address.s6_addr);
  return (std::uint32_t{bytes[12]} << 24) | (std::uint32_t{bytes[13]} << 16) | (std::uint32_t{bytes[14]} << 8) |
         bytes[15];
}

bool is_internal_ipv6(const in6_addr& address) {
  const std::span<const std::uint8_t, 16> bytes(address.s6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address)) return is_internal_ipv4(last_four(address));
  const bool unique_local = (bytes[0] & 0xfe) == 0xfc;
  const bool link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  const bool multicast = bytes[0] == 0xff;
  return unique_local || link_local || multicast || IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address);
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return fail(Code::format_invalid, "URL is longer than {} bytes", kMaxUrlBytes);
  const auto scheme_end = end_of_scheme(text);
  if (scheme_end == 0 || !text.substr(scheme_end).starts_with("://")) {
    return fail(Code::format_invalid, "not an absolute URL");
  }
  const auto scheme = lower(text.substr(0, scheme_end));
  if (scheme != "http" && scheme != "https") return fail(Code::format_invalid, "URL scheme is not http or https");
  const auto rest = text.substr(scheme_end + 3);
  const auto authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  TRY_ASSIGN(auto authority, parse_authority(rest.substr(0, authority_end)));
  const auto path = rest.substr(authority_end);
  if (!std::all_of(path.begin(), path.end(), is_path_or_query)) {
    return fail(Code::format_invalid, "URL has a fragment or an invalid character");
  }

  Url url;
  url.https_ = scheme == "https";
  const std::uint16_t default_port = url.https_ ? 443 : 80;
  url.port_ = authority.port.value_or(default_port);
  url.host_ = std::move(authority.host);
  url.path_and_query_ = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  url.text_ = scheme + "://" + url.host_;
  if (url.port_ != default_port) url.text_ += ":" + std::to_string(url.port_);
  url.text_ += url.path_and_query_;
  return url;
}

// RFC 3986 section 5.2.2; the fragment of the reference is dropped, because no request carries one.
Result<Url> Url::resolve(std::string_view reference) const {
  reference = reference.substr(0, reference.find('#'));
  const std::string origin = text_.substr(0, text_.size() - path_and_query_.size());
  if (reference.empty()) return *this;
  if (end_of_scheme(reference) != 0) return parse(reference);
  if (reference.starts_with("//")) return parse((https_ ? "https:" : "http:") + std::string(reference));

  const auto query_begin = std::min(reference.find('?'), reference.size());
  const auto reference_path = reference.substr(0, query_begin);
  const auto query = reference.substr(query_begin);
  const auto own_path = std::string_view(path_and_query_).substr(0, path_and_query_.find('?'));
  if (reference_path.empty()) return parse(origin + std::string(own_path) + std::string(query));
  const std::string path = reference_path.starts_with('/')
                               ? std::string(reference_path)
                               : std::string(own_path.substr(0, own_path.rfind('/') + 1)) + std::string(reference_path);
  return parse(origin + remove_dot_segments(path) + std::string(query));
}

std::string Url::authority() const {
  const bool default_port = port_ == (https_ ? 443 : 80);
  return default_port ? host_ : host_and_port();
}

bool Url::same_origin(const Url& other) const {
  return https_ == other.https_ && host_ == other.host_ && port_ == other.port_;
}

bool Url::is_loopback() const {
  if (host_ == "localhost" || host_ == "[::1]") return true;
  const auto address = ipv4(host_);
  return address && (*address >> 24) == 127;
}

bool Url::is_this_machine() const {
  if (is_loopback() || host_.ends_with(".localhost")) return true;
  const auto is_local = [](std::uint32_t address) { return (address >> 24) == 127 || (address >> 24) == 0; };
  if (const auto address = ipv4(host_)) return is_local(*address);
  const auto address = ipv6(host_);
  if (!address) return false;
  const bool holds_ipv4 = IN6_IS_ADDR_V4MAPPED(&*address) || IN6_IS_ADDR_V4COMPAT(&*address);
  return IN6_IS_ADDR_UNSPECIFIED(&*address) || (holds_ipv4 && is_local(last_four(*address)));
}

bool Url::is_internal_address() const {
  if (host_ == "localhost" || host_.ends_with(".localhost")) return true;
  if (const auto address = ipv4(host_)) return is_internal_ipv4(*address);
  const auto address = ipv6(host_);
  return address && is_internal_ipv6(*address);
}

bool Url::is_link_local_address() const {
  if (const auto address = ipv4(host_)) return is_link_local(*address);
  const auto address = ipv6(host_);
  return address && is_link_local(*address);
}

std::string Url::host_and_port() const { return host_ + ":" + std::to_string(port_); }

std::string Url::for_messages() const { return text_.substr(0, text_.find('?')); }

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if (is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result.append({'%', kHex[byte >> 4], kHex[byte & 15]});
  }
  return result;
}

}  // namespace proplet::net
