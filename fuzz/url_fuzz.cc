// URLs and the references of Location headers: parsed ones print and parse to the same, and never hide a host.
#include "fuzz.h"
#include "net/url.h"

using proplet::fuzz::check;
using proplet::net::Url;

namespace {

void check_url(const Url& url) {
  const auto again = Url::parse(url.text());
  check(again.has_value(), "a URL's text is a URL");
  check(again->text() == url.text() && again->same_origin(url), "parsing is stable");
  check(!url.host().empty() && url.port() != 0, "a URL has a host and a port");
  check(url.host().find_first_of("@/\\ \t\r\n?#") == std::string::npos, "a host has no delimiters");
  check(url.path_and_query().starts_with('/'), "a path is absolute");
  check(url.text().find_first_of("\r\n#") == std::string::npos, "a URL is one line without a fragment");
  check(!url.is_loopback() || url.is_internal_address(), "loopback is internal");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto base = Url::parse("https://registry.example:5000/v2/team/add/manifests/1?x=y");
  const std::string_view text = proplet::fuzz::text_input(data, size);
  if (const auto url = Url::parse(text)) check_url(*url);
  if (const auto url = base->resolve(text)) check_url(*url);
  return 0;
}
