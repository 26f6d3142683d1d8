// Resource URIs: a parsed one prints as text that parses to the same, and its path is three harmless segments.
#include <algorithm>

#include "fuzz.h"
#include "kbs/client.h"

using proplet::fuzz::check;
using proplet::kbs::ResourceUri;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto uri = ResourceUri::parse(proplet::fuzz::text_input(data, size));
  if (!uri) return 0;
  const auto again = ResourceUri::parse(uri->text());
  check(again && *again == *uri, "the text means the same");
  const std::string& path = uri->path();
  check(std::ranges::count(path, '/') == 2, "a path has three segments");
  check(!path.starts_with('.') && path.find("/.") == std::string::npos, "no segment begins with a dot");
  check(path.find_first_of("?#%\\@: \r\n") == std::string::npos, "a path needs no escaping");
  return 0;
}
