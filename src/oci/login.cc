#include "oci/login.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/secret_json.h"

namespace proplet::oci {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxAnswerBytes = std::size_t{1} << 20;
constexpr seconds kAnswerTime{60};
constexpr std::size_t kMaxTokenBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxEntries = 1024;
constexpr seconds kShortestLife{60};  // what a token lives at least, by the protocol
constexpr seconds kLongestLife{3600};
constexpr seconds kMargin{10};  // so that a token does not expire on its way
constexpr seconds kBasicLife{300};

// "<scheme> <value>" in secret memory.
SecretBytes header_value(std::string_view scheme, ByteView value) {
  SecretBytes header(scheme.size() + 1 + value.size());
  const auto out = header.mutable_view();
  std::copy(scheme.begin(), scheme.end(), out.begin());
  out[scheme.size()] = ' ';
  std::copy(value.begin(), value.end(), out.begin() + static_cast<std::ptrdiff_t>(scheme.size()) + 1);
  return header;
}

SecretBytes basic_header(const Credentials& credentials) {
  const auto password = credentials.password.view();
  SecretBytes plain(credentials.username.size() + 1 + password.size());
  const auto out = plain.mutable_view();
  std::copy(credentials.username.begin(), credentials.username.end(), out.begin());
  out[credentials.username.size()] = ':';
  std::copy(password.begin(), password.end(),
            out.begin() + static_cast<std::ptrdiff_t>(credentials.username.size()) + 1);
  auto encoded = base64_encode(plain.view());
  auto header = header_value("Basic", bytes_of(encoded));
  wipe(encoded);
  return header;
}

void append_parameter(std::string& query, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (!query.empty()) query += '&';
  query.append(name).append("=").append(net::percent_encode(value));
}

// The registry may ask for another spelling of what we need, not for less than a push needs.
std::string wanted_scope(const Purpose& purpose, const Challenge& challenge) {
  constexpr std::size_t kMaxScopeBytes = 1024;
  const bool usable = !challenge.scope.empty() && challenge.scope.size() <= kMaxScopeBytes;
  const bool enough = purpose.access == Access::pull || challenge.scope.find("push") != std::string::npos;
  return usable && enough ? challenge.scope : purpose.scope();
}

Result<net::Url> with_query(const net::Url& realm, const std::string& query) {
  const bool has_query = realm.path_and_query().find('?') != std::string::npos;
  return net::Url::parse(realm.text() + (has_query ? "&" : "?") + query);
}

std::string text_or_empty(const json::object& object, std::string_view name) {
  const auto* const member = object.if_contains(name);
  const auto* const text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

seconds lifetime(const json::object& answer) {
  const auto* const member = answer.if_contains("expires_in");
  const auto* const number = member == nullptr ? nullptr : member->if_int64();
  if (number == nullptr) return kShortestLife;
  return seconds(std::clamp<std::int64_t>(*number, kShortestLife.count(), kLongestLife.count()));
}

}  // namespace

std::string Purpose::scope() const {
  return "repository:" + reference.repository() + (access == Access::pull ? ":pull" : ":pull,push");
}

Status check_realm(const net::Url& realm, const net::Url& registry) {
  if (registry.is_https() && !realm.is_https()) {
    return fail(Code::registry_unauthorized, "{} names a token service over plain HTTP: {}", registry.host(),
                realm.for_messages());
  }
  if (realm.is_internal_address() && realm.host() != registry.host()) {
    return fail(Code::registry_unauthorized, "{} names a token service on an internal address: {}", registry.host(),
                realm.for_messages());
  }
  return {};
}

SecretBytes Login::known(const Purpose& purpose) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find({purpose.registry.host_and_port(), purpose.scope()});
  if (entry == entries_.end() || entry->second.expires <= clock_.steady_now()) return {};
  return entry->second.value.clone();
}

Result<SecretBytes> Login::renew(const Purpose& purpose, const net::HttpResponse& challenge,
                                 const std::stop_token& stop) {
  const auto challenges = challenges_of(challenge);
  if (challenges.empty()) {
    return fail(Code::registry_unauthorized, "{} refused {} and offers no supported log-in",
                purpose.registry.host_and_port(), purpose.reference.repository());
  }
  // The first that we can answer: without a password that is the token service, which may be open to all.
  const auto* const credentials = credentials_.find(purpose.reference);
  const bool has_password = credentials != nullptr && !credentials->password.empty();
  const auto answerable = std::ranges::find_if(challenges, [&](const Challenge& offered) {
    return has_password || offered.scheme == Challenge::Scheme::bearer;
  });
  const auto& chosen = answerable == challenges.end() ? challenges.front() : *answerable;
  TRY_ASSIGN(auto entry, chosen.scheme == Challenge::Scheme::basic ? basic(purpose) : bearer(purpose, chosen, stop));
  auto value = entry.value.clone();
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxEntries) entries_.clear();  // one more token each, which costs less than book-keeping
  entries_.insert_or_assign({purpose.registry.host_and_port(), purpose.scope()}, std::move(entry));
  return value;
}

Result<Login::Entry> Login::basic(const Purpose& purpose) const {
  const auto* const credentials = credentials_.find(purpose.reference);
  if (credentials == nullptr || credentials->password.empty()) {
    return fail(Code::registry_unauthorized, "{} wants a user name and password for {}; none are configured",
                purpose.registry.host_and_port(), purpose.reference.repository());
  }
  return Entry{basic_header(*credentials), clock_.steady_now() + kBasicLife};
}

Result<Login::Entry> Login::bearer(const Purpose& purpose, const Challenge& challenge, const std::stop_token& stop) {
  auto realm = net::Url::parse(challenge.realm);
  if (!realm) {
    return fail(Code::registry_unauthorized, "{} names an invalid token service: {}", purpose.registry.host_and_port(),
                realm.error().message());
  }
  TRY(check_realm(*realm, purpose.registry));
  const auto* const credentials = credentials_.find(purpose.reference);
  const auto scope = wanted_scope(purpose, challenge);
  auto answer = net::with_retries(retry_, clock_, random_, stop,
                                  [&] { return ask_realm(*realm, challenge, scope, credentials, stop); });
  if (!answer && answer.error().code() == Code::network_failed) {
    return fail(Code::registry_unreachable, "token service: {}", answer.error().message());
  }
  if (!answer) return fail(std::move(answer).error());
  return read_answer(*realm, std::move(*answer));
}

Result<net::HttpResponse> Login::ask_realm(const net::Url& realm, const Challenge& challenge, const std::string& scope,
                                           const Credentials* credentials, const std::stop_token& stop) {
  std::string parameters;
  append_parameter(parameters, "service", challenge.service);
  append_parameter(parameters, "scope", scope);
  net::HttpRequest request{.url = realm, .max_response_bytes = kMaxAnswerBytes, .timeout = kAnswerTime};
  if (credentials != nullptr && !credentials->identity_token.empty()) {
    request.method = "POST";
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    auto form = parameters + "&client_id=proplet&grant_type=refresh_token&refresh_token=";
    auto encoded = net::percent_encode(text_of(credentials->identity_token.view()));
    form.reserve(form.size() + encoded.size());
    form += encoded;
    wipe(encoded);
    request.body = bytes_of(form);
    auto answer = http_.send(request, stop);
    wipe(form);
    return answer;
  }
  TRY_ASSIGN(request.url, with_query(realm, parameters));
  if (credentials == nullptr || credentials->password.empty()) return http_.send(request, stop);
  const auto header = basic_header(*credentials);
  request.headers = {{"Authorization", std::string(text_of(header.view()))}};
  auto answer = http_.send(request, stop);
  wipe(request.headers.front().second);
  return answer;
}

Result<Login::Entry> Login::read_answer(const net::Url& realm, net::HttpResponse answer) const {
  const auto where = realm.for_messages();
  if (net::is_passing_status(answer.status)) {
    return fail(Code::registry_failed, "token service {} answered {}", where, answer.status);
  }
  if (answer.status != 200) {
    return fail(Code::registry_unauthorized, "token service {} answered {}", where, answer.status);
  }
  const auto document = crypto::SecretJson::parse(answer.body, {.bytes = kMaxAnswerBytes});
  wipe(MutableByteView(answer.body));
  if (!document) return fail(Code::registry_failed, "token service {}: {}", where, document.error().message());
  auto token = text_or_empty(document->object(), "token");
  if (token.empty()) token = text_or_empty(document->object(), "access_token");
  if (token.empty() || token.size() > kMaxTokenBytes) {
    wipe(token);
    return fail(Code::registry_failed, "token service {} gave no usable token", where);
  }
  Entry entry{header_value("Bearer", bytes_of(token)), clock_.steady_now() + lifetime(document->object()) - kMargin};
  wipe(token);
  return entry;
}

}  // namespace proplet::oci
