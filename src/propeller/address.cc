#include <charconv>

#include "propeller/session.h"

namespace proplet::propeller {
namespace {

bool is_tls_scheme(std::string_view scheme) { return scheme == "ssl" || scheme == "tls" || scheme == "mqtts"; }

std::string lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

Result<BrokerAddress> BrokerAddress::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) { return fail(Code::config_invalid, "broker address {}: {}", text, why); };
  BrokerAddress address;
  std::string_view rest = text;
  if (const auto scheme_end = rest.find("://"); scheme_end != std::string_view::npos) {
    address.tls = is_tls_scheme(lower(rest.substr(0, scheme_end)));
    rest.remove_prefix(scheme_end + 3);
  }
  address.port = address.tls ? 8883 : 1883;
  rest = rest.substr(0, rest.find('/'));
  if (rest.find('@') != std::string_view::npos) {
    return fail(Code::config_invalid, "broker address: credentials do not belong into the address");
  }

  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) return bad("no closing bracket");
    address.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    if (!port.empty() && port.front() != ':') return bad("text behind the closing bracket");
  } else {
    const auto colon = rest.find(':');
    if (colon != rest.rfind(':')) return bad("an IPv6 address needs brackets");
    address.host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
  }
  if (address.host.empty()) return bad("no host");
  if (port.empty()) return address;

  port.remove_prefix(1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || address.port == 0) {
    return bad("the port is not a number from 1 to 65535");
  }
  return address;
}

}  // namespace proplet::propeller
