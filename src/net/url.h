// Url: an absolute http or https URL, parsed (RFC 3986).
//
// A Url is a value and always valid: scheme http or https, a host, no user information, no fragment. The host is in
// lower case; IPv6 addresses keep their brackets, and numbers that only some resolvers take for an IPv4 address
// ("127.1", "0x7f000001") are refused, so that a check of the host means what it says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace proplet::net {

class Url {
 public:
  // FORMAT_INVALID says what is wrong. User information is refused: credentials do not belong in URLs or logs.
  static Result<Url> parse(std::string_view text);
  // Resolves a reference (absolute or relative, as in a Location header) against this URL. RFC 3986 section 5.
  [[nodiscard]] Result<Url> resolve(std::string_view reference) const;

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& host() const { return host_; }
  // "host", or "host:port" when the port is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  [[nodiscard]] std::uint16_t port() const { return port_; }  // the scheme's default when none was written
  [[nodiscard]] const std::string& path_and_query() const { return path_and_query_; }
  [[nodiscard]] bool is_https() const { return https_; }
  // Same scheme, host and port.
  [[nodiscard]] bool same_origin(const Url& other) const;
  // The host is localhost, 127.0.0.0/8 or [::1].
  [[nodiscard]] bool is_loopback() const;
  // The host is loopback in any spelling, or unspecified, which connects to this machine too.
  [[nodiscard]] bool is_this_machine() const;
  // The host is loopback, or an address that is private, link-local, unspecified or otherwise not for the public.
  [[nodiscard]] bool is_internal_address() const;
  // The host is a link-local address, or one of the other fixed addresses of a cloud's metadata service.
  [[nodiscard]] bool is_link_local_address() const;
  // "host" or "host:port" as written in allow lists: lower case, IPv6 in brackets.
  [[nodiscard]] std::string host_and_port() const;
  // Scheme, host, port and path, without the query, which may hold signatures: for messages and logs.
  [[nodiscard]] std::string for_messages() const;

 private:
  Url() = default;
  std::string text_;
  std::string host_;
  std::string path_and_query_;
  std::uint16_t port_ = 0;
  bool https_ = false;
};

// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
std::string percent_encode(std::string_view text);

}  // namespace proplet::net
