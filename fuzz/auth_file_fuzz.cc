// Docker's config.json: credentials are found for the registry they were written for and for no other.
#include <algorithm>

#include "fuzz.h"
#include "oci/auth.h"

namespace oci = proplet::oci;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto known = oci::Reference::parse("ghcr.io/acme/app:1");
  static const auto stranger = oci::Reference::parse("q7x1zk4vplw9-nobody-has-credentials-for-this.example/a/b:1");
  auto file = oci::AuthFile::parse({data, size});
  if (!file) return 0;
  // The fuzzer sees what is compared, so that in the end it writes this host into a file as well.
  const auto hosts = file->hosts();
  const bool named = std::ranges::find(hosts, stranger->registry()) != hosts.end();
  check(named || file->find(*stranger) == nullptr, "a stranger gets no credentials");
  static_cast<void>(file->find(*known));

  oci::Credentials credentials;
  credentials.username = "somebody";
  file->add("ghcr.io/acme/app", std::move(credentials));
  const auto* found = file->find(*known);
  check(found != nullptr && found->username == "somebody", "the most specific entry wins");
  return 0;
}
