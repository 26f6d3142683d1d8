// Who may open a layer, for people to read.
#include <algorithm>
#include <iterator>

#include "base/encoding.h"
#include "crypto/cms.h"
#include "crypto/jwe.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::ocicrypt {
namespace {

constexpr std::string_view kKeysPrefix = "org.opencontainers.image.enc.keys.";
constexpr std::size_t kMaxShown = 256;  // characters of a stranger's text
constexpr std::size_t kMaxRecipients = 256;

std::string printable(std::string_view text) {
  std::string shown(text.substr(0, kMaxShown));
  std::ranges::replace_if(shown, [](char c) { return c <= ' ' || c > 0x7e; }, '?');
  return shown;
}

void add_provider(const std::string& scheme, ByteView packet, std::vector<Recipient>& recipients) {
  const auto parsed = parse_provider_packet(text_of(packet));
  if (!parsed) {
    recipients.push_back({.scheme = scheme, .algorithm = {}, .key_id = {}, .readable = false});
    return;
  }
  const bool gcm = parsed->wrap_type == ProviderPacket::WrapType::a256gcm;
  recipients.push_back(
      {.scheme = scheme, .algorithm = gcm ? "A256GCM" : "A256CTR", .key_id = parsed->key_id, .readable = true});
}

void add_jwe(ByteView packet, std::vector<Recipient>& recipients) {
  const auto entries = crypto::jwe_recipients(text_of(packet));
  if (!entries) {
    recipients.push_back({.scheme = "jwe", .algorithm = {}, .key_id = {}, .readable = false});
    return;
  }
  for (const auto& entry : *entries) {
    recipients.push_back({.scheme = "jwe",
                          .algorithm = printable(entry.algorithm),
                          .key_id = printable(entry.key_id),
                          .readable = true});
  }
}

void add_pkcs7(ByteView packet, std::vector<Recipient>& recipients) {
  const auto count = crypto::cms_recipients(packet);
  const Recipient one{
      .scheme = "pkcs7", .algorithm = count ? "RSA1_5" : "", .key_id = {}, .readable = count.has_value()};
  recipients.insert(recipients.end(), count.value_or(1), one);
}

void add_all(const std::string& scheme, std::string_view value, std::vector<Recipient>& recipients) {
  const auto packets = split_packets(value);
  const bool known = scheme == "jwe" || scheme == "pkcs7" || scheme.starts_with("provider.");
  if (!packets || !known) {
    recipients.push_back({.scheme = scheme, .algorithm = {}, .key_id = {}, .readable = false});
    return;
  }
  for (const auto& packet : *packets) {
    if (recipients.size() >= kMaxRecipients) return;
    if (scheme == "jwe")
      add_jwe(packet, recipients);
    else if (scheme == "pkcs7")
      add_pkcs7(packet, recipients);
    else
      add_provider(scheme, packet, recipients);
  }
}

constexpr int kLastRank = 3;

int rank_of(const Recipient& recipient) {
  if (!recipient.readable) return kLastRank;
  if (recipient.scheme == "jwe") return 1;
  return recipient.scheme == "pkcs7" ? 2 : 0;
}

}  // namespace

std::vector<Recipient> recipients_of(const Annotations& annotations) {
  std::vector<Recipient> recipients;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kKeysPrefix) || recipients.size() >= kMaxRecipients) continue;
    add_all(printable(key.substr(kKeysPrefix.size())), value, recipients);
  }
  std::vector<Recipient> ordered;
  for (int rank = 0; rank <= kLastRank; ++rank) {
    std::ranges::copy_if(recipients, std::back_inserter(ordered),
                         [&](const Recipient& recipient) { return rank_of(recipient) == rank; });
  }
  return ordered;
}

}  // namespace proplet::ocicrypt
