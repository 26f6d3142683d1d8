// Image references: a parsed one prints as text that parses to the same, and is safe in a URL's path.
#include "fuzz.h"
#include "oci/reference.h"

using proplet::fuzz::check;
using proplet::oci::Reference;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto reference = Reference::parse(proplet::fuzz::text_input(data, size));
  if (!reference) return 0;
  const auto again = Reference::parse(reference->text());
  check(again && *again == *reference, "the canonical text means the same");
  check(!reference->registry().empty() && !reference->repository().empty() && !reference->selector().empty(),
        "no part is missing");
  constexpr std::string_view kUnsafe = "?#%\\ \"<>\r\n\t@";
  check(reference->repository().find_first_of(kUnsafe) == std::string::npos, "a repository needs no escaping");
  check(reference->repository().find("..") == std::string::npos, "a repository does not climb");
  check(reference->tag().find_first_of("/?#%\\ \r\n") == std::string::npos, "a tag needs no escaping");
  check(reference->api_host().find_first_of("/?#@\\ \r\n") == std::string::npos, "a host is only a host");
  return 0;
}
