#include "oci/auth.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "base/fd.h"
#include "crypto/secret_json.h"

namespace proplet::oci {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

// "host", "host/a/b" or "https://host/v1/" to "host" or "host/a/b", with one name for Docker Hub.
std::string normalised_key(std::string_view key) {
  const auto scheme = key.find("://");
  if (scheme != std::string_view::npos) {  // Docker's form: its path is that of the API, not of a repository
    key.remove_prefix(scheme + 3);
    key = key.substr(0, key.find('/'));
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  auto host = lower(key.substr(0, key.find('/')));
  auto path = std::string(key.substr(std::min(host.size(), key.size())));
  if (path == "/v1" || path == "/v2") path.clear();
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
  return host + path;
}

SecretBytes secret_copy(std::string_view text) { return SecretBytes::copy_of(bytes_of(text)); }

// "user:password" in base64. Tools that pad the password leave NUL bytes or line ends behind it.
Result<Credentials> decode_auth(std::string_view text, std::string_view key) {
  const auto decoded = base64_decode_secret(text);
  if (!decoded) return fail(Code::config_invalid, "auths['{}']: 'auth' is not base64", key);
  auto plain = text_of(decoded->view());
  const auto colon = plain.find(':');
  if (colon == std::string_view::npos) return fail(Code::config_invalid, "auths['{}']: 'auth' lacks a colon", key);
  plain = plain.substr(0, plain.find_last_not_of(std::string_view("\0\r\n", 3)) + 1);
  Credentials credentials;
  credentials.username = plain.substr(0, colon);
  if (colon < plain.size()) credentials.password = secret_copy(plain.substr(colon + 1));
  return credentials;
}

// A string member without a copy; empty when it is absent.
Result<std::string_view> text_member(const json::object& entry, std::string_view name, std::string_view key) {
  const auto* const member = entry.if_contains(name);
  if (member == nullptr || member->is_null()) return std::string_view();
  const auto* const text = member->if_string();
  if (text == nullptr) return fail(Code::config_invalid, "auths['{}']: '{}' is not a string", key, name);
  return std::string_view(text->data(), text->size());
}

// Nothing for an entry that only says "ask a helper".
Result<std::optional<Credentials>> read_entry(const json::object& entry, std::string_view key) {
  TRY_ASSIGN(const auto auth, text_member(entry, "auth", key));
  TRY_ASSIGN(const auto username, text_member(entry, "username", key));
  TRY_ASSIGN(const auto password, text_member(entry, "password", key));
  TRY_ASSIGN(const auto identity_token, text_member(entry, "identitytoken", key));
  if (auth.empty() && username.empty() && identity_token.empty()) return std::optional<Credentials>();
  Credentials credentials;
  if (!auth.empty()) {
    TRY_ASSIGN(credentials, decode_auth(auth, key));
  } else {
    credentials.username = username;
    if (!password.empty()) credentials.password = secret_copy(password);
  }
  if (!identity_token.empty()) credentials.identity_token = secret_copy(identity_token);
  return std::optional<Credentials>(std::move(credentials));
}

}  // namespace

Result<AuthFile> AuthFile::parse(ByteView text) {
  const auto document = crypto::SecretJson::parse(text, {.bytes = kMaxFileBytes});
  if (!document) return fail(Code::config_invalid, "registry credentials: {}", document.error().message());
  AuthFile file;
  const auto* const auths = document->object().if_contains("auths");
  if (auths == nullptr || auths->is_null()) return file;
  if (!auths->is_object()) return fail(Code::config_invalid, "registry credentials: 'auths' is not an object");
  for (const auto& [name, value] : auths->get_object()) {
    const std::string_view key(name.data(), name.size());
    const auto* const object = value.if_object();
    if (object == nullptr) return fail(Code::config_invalid, "auths['{}'] is not an object", key);
    TRY_ASSIGN(auto credentials, read_entry(*object, key));
    if (credentials) file.add(key, std::move(*credentials));
  }
  return file;
}

Result<AuthFile> AuthFile::load(const std::string& path) {
  TRY_ASSIGN(const auto text, read_secret_file(path, kMaxFileBytes));
  auto file = parse(text.view());
  if (!file) return fail(std::move(file).error().because(path));
  return file;
}

void AuthFile::add(std::string_view key, Credentials credentials) {
  entries_.insert_or_assign(normalised_key(key), std::move(credentials));
}

const Credentials* AuthFile::find(const Reference& reference) const {
  auto key = normalised_key(reference.registry() + "/" + reference.repository());
  while (true) {
    if (const auto entry = entries_.find(key); entry != entries_.end()) return &entry->second;
    const auto slash = key.rfind('/');
    if (slash == std::string::npos) return nullptr;
    key.resize(slash);
  }
}

std::vector<std::string> AuthFile::hosts() const {
  std::vector<std::string> hosts;
  for (const auto& [key, credentials] : entries_) {
    std::string host = key.substr(0, key.find('/'));
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(std::move(host));
  }
  return hosts;
}

}  // namespace proplet::oci
