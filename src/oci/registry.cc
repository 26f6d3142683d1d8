#include "oci/registry.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "oci/session.h"

namespace proplet::oci {
namespace {

constexpr int kMaxRedirects = 10;
// A series of attempts that got this much further is followed by another one.
constexpr std::size_t kWorthwhileProgress = std::size_t{1} << 20;

// The document kinds a reader here understands; without the OCI types a registry denies that the image exists.
net::HttpHeaders accept_manifests() {
  return {{"Accept",
           fmt::format("{}, {}, {}, {}", kOciManifestType, kDockerManifestType, kOciIndexType, kDockerIndexType)}};
}

std::string without_parameters(std::string_view content_type) {
  const auto type = content_type.substr(0, content_type.find(';'));
  return std::string(type.substr(0, type.find_last_not_of(" \t") + 1));
}

Result<net::Url> api_url(const Purpose& purpose, std::string_view rest) {
  return purpose.registry.resolve("/v2/" + purpose.reference.repository() + "/" + std::string(rest));
}

// If the registry names a digest it must be the one of what it sent or received; by itself it proves nothing.
Status check_content_digest(const net::HttpResponse& response, ByteView content, const std::string& name) {
  const auto header = response.header("docker-content-digest");
  const auto announced = header ? Digest::parse(*header) : Result<Digest>(fail(Code::format_invalid, "none"));
  if (!announced) return {};
  auto verified = verify_digest(content, *announced);
  if (!verified) return fail(std::move(verified).error().because(name + ": Docker-Content-Digest"));
  return {};
}

// "bytes 100-199/200" (RFC 9110 section 14.4).
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
};

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  ContentRange range;
  const auto number = [&text](std::uint64_t& value, std::string_view separator) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with(separator)) return false;
    text.remove_prefix(separator.size());
    return true;
  };
  const bool well_formed = number(range.first, "-") && number(range.last, "/") && number(range.total, "");
  return well_formed && text.empty() ? std::optional(range) : std::nullopt;
}

// Receives one blob over as many transfers as it takes: bounded by its descriptor, hashed as it arrives. What an
// interrupted transfer brought is kept, and the next one is asked for the rest.
class BlobReceiver {
 public:
  BlobReceiver(const Descriptor& descriptor, MutableByteView out)
      : descriptor_(descriptor), out_(out), verifier_(descriptor.digest) {}

  // What to ask for: everything, or the rest.
  [[nodiscard]] net::HttpHeaders headers() const {
    if (filled_ == 0) return {};
    return {{"Range", fmt::format("bytes={}-", filled_)}};
  }

  // The answer decides whether the bytes that follow are the rest or everything again.
  Status begin(const net::HttpResponse& response) {
    if (response.status != 206) {
      restart();
      return {};
    }
    const auto range = parse_content_range(response.header("content-range").value_or(""));
    if (range && range->first == filled_ && range->total == descriptor_.size && filled_ > 0) return {};
    restart();  // nothing that a liar sent after this counts
    return fail(Code::registry_failed, "blob {}: the registry answered with another range than it was asked for",
                descriptor_.digest.text());
  }

  Status take(ByteView bytes) {
    if (bytes.size() > out_.size() - filled_) {
      return fail(Code::size_mismatch, "blob {} is longer than the {} bytes its descriptor says",
                  descriptor_.digest.text(), descriptor_.size);
    }
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += bytes.size();
    furthest_ = std::max(furthest_, filled_);
    verifier_.update(bytes);
    return {};
  }

  Status finish() {
    if (filled_ == out_.size()) return verifier_.finish();
    return fail(Code::size_mismatch, "blob {} has {} bytes; its descriptor says {}", descriptor_.digest.text(), filled_,
                descriptor_.size);
  }

  void restart() {
    filled_ = 0;
    verifier_ = DigestVerifier(descriptor_.digest);
  }
  [[nodiscard]] std::size_t furthest() const { return furthest_; }

 private:
  const Descriptor& descriptor_;
  const MutableByteView out_;
  std::size_t filled_ = 0;
  std::size_t furthest_ = 0;
  DigestVerifier verifier_;
};

}  // namespace

class RegistrySource final : public ImageSource {
 public:
  RegistrySource(Registry::Session& session, Reference reference)
      : session_(session), reference_(std::move(reference)) {}

  [[nodiscard]] std::string name() const override { return reference_.text(); }

  Result<RawManifest> resolve(std::stop_token stop) override {
    TRY_ASSIGN(const auto response, get_manifest(reference_.selector(), stop));
    const auto content = text_of(response.body);
    TRY(check_content_digest(response, response.body, name()));
    auto digest = reference_.digest().value_or(Digest::of(response.body));
    TRY(verify(response.body, digest));
    const auto type = response.header("content-type").value_or("");
    return RawManifest{std::move(digest), without_parameters(type), std::string(content)};
  }

  Result<RawManifest> fetch_manifest(const Descriptor& descriptor, std::stop_token stop) override {
    if (descriptor.size > kMaxManifestBytes) {
      return fail(Code::size_limit, "{}: manifest {} has {} bytes; the limit is {}", name(), descriptor.digest.text(),
                  descriptor.size, kMaxManifestBytes);
    }
    TRY_ASSIGN(const auto response, get_manifest(descriptor.digest.text(), stop));
    if (response.body.size() != descriptor.size) {
      return fail(Code::size_mismatch, "{}: manifest {} has {} bytes; its descriptor says {}", name(),
                  descriptor.digest.text(), response.body.size(), descriptor.size);
    }
    TRY(verify(response.body, descriptor.digest));
    // The descriptor is covered by the digest of the index, the Content-Type by nothing.
    return RawManifest{descriptor.digest, descriptor.media_type, std::string(text_of(response.body))};
  }

  Result<SecretBytes> fetch_blob(const Descriptor& descriptor, std::size_t limit, std::stop_token stop) override {
    if (descriptor.size > limit) {
      return fail(Code::size_limit, "{}: blob {} has {} bytes; the limit is {}", name(), descriptor.digest.text(),
                  descriptor.size, limit);
    }
    TRY_ASSIGN(const auto purpose, session_.purpose(reference_, Access::pull));
    SecretBytes bytes(descriptor.size);
    BlobReceiver receiver(descriptor, bytes.mutable_view());
    auto received = receive(purpose, descriptor, receiver, stop);
    if (received) received = receiver.finish();
    if (!received) return fail(std::move(received).error().because(name()));
    return bytes;
  }

 private:
  // Goes on for as long as the transfers get further: what limits them is progress, not the number of attempts.
  Status receive(const Purpose& purpose, const Descriptor& descriptor, BlobReceiver& receiver,
                 const std::stop_token& stop) {
    const auto what = "blob " + descriptor.digest.text();
    TRY_ASSIGN(const auto url, api_url(purpose, "blobs/" + descriptor.digest.text()));
    const auto make_request = [&] {
      return net::HttpRequest{.url = url,
                              .headers = receiver.headers(),
                              .max_response_bytes = descriptor.size + net::kMaxErrorBytes,
                              .redirects = kMaxRedirects,
                              .timeout = exchange_time(descriptor.size),
                              .on_body = [&](ByteView piece) { return receiver.take(piece); },
                              .on_response = [&](const auto& response) { return receiver.begin(response); }};
    };
    bool started_over = false;
    while (true) {
      const auto before = receiver.furthest();
      auto response = session_.send(purpose, make_request, stop);
      const bool further = receiver.furthest() >= before + kWorthwhileProgress;
      if (!response && response.error().code() == Code::registry_unreachable && further) continue;
      if (!response) return fail(interrupted(std::move(response).error(), what, descriptor, receiver));
      if (response->status == 200 || response->status == 206) return {};
      // There is no such range, says the registry, which may have forgotten what it sent: from the beginning, once.
      if (response->status != 416 || std::exchange(started_over, true)) return fail(error_of(*response, what));
      receiver.restart();
    }
  }

  static Error interrupted(Error error, const std::string& what, const Descriptor& descriptor,
                           const BlobReceiver& receiver) {
    if (error.code() != Code::registry_unreachable || receiver.furthest() == 0) return error;
    return {Code::transfer_incomplete,
            fmt::format("{}: {} of {} bytes arrived: {}", what, receiver.furthest(), descriptor.size, error.message())};
  }

  Result<net::HttpResponse> get_manifest(const std::string& selector, const std::stop_token& stop) {
    TRY_ASSIGN(const auto purpose, session_.purpose(reference_, Access::pull));
    TRY_ASSIGN(const auto url, api_url(purpose, "manifests/" + selector));
    auto response = session_.send(
        purpose,
        [&] {
          return net::HttpRequest{.url = url,
                                  .headers = accept_manifests(),
                                  .max_response_bytes = kMaxManifestBytes,
                                  .redirects = kMaxRedirects,
                                  .timeout = exchange_time(0)};
        },
        stop);
    if (!response) return fail(std::move(response).error().because(name()));
    if (response->status != 200) return fail(error_of(*response, name() + ": manifest"));
    return response;
  }

  [[nodiscard]] Status verify(ByteView bytes, const Digest& digest) const {
    auto verified = verify_digest(bytes, digest);
    if (!verified) return fail(std::move(verified).error().because(name() + ": manifest"));
    return {};
  }

  Registry::Session& session_;
  const Reference reference_;
};

class RegistryTarget final : public ImageTarget {
 public:
  RegistryTarget(Registry::Session& session, Reference reference)
      : session_(session), reference_(std::move(reference)) {}

  [[nodiscard]] std::string name() const override { return reference_.text(); }

  Result<Descriptor> push_blob(std::string media_type, ByteView bytes, std::stop_token stop) override {
    auto descriptor = describe(std::move(media_type), bytes);
    TRY_ASSIGN(const auto purpose, session_.purpose(reference_, Access::push));
    TRY_ASSIGN(const bool present, has_blob(purpose, descriptor.digest, stop));
    if (present) return descriptor;
    auto response = session_.repeat([&] { return upload(purpose, descriptor.digest, bytes, stop); }, stop);
    if (!response) return fail(std::move(response).error().because(name()));
    if (response->status != 201) return fail(error_of(*response, name() + ": blob upload"));
    return descriptor;
  }

  Result<Descriptor> push_manifest(std::string media_type, std::string_view bytes, std::stop_token stop) override {
    const auto digest = Digest::of(bytes_of(bytes));
    return put_manifest(std::move(media_type), bytes, digest.text(), stop);
  }

  Result<Descriptor> push_tagged(std::string media_type, std::string_view bytes, std::stop_token stop) override {
    if (reference_.digest()) {
      auto verified = verify_digest(bytes_of(bytes), *reference_.digest());
      if (!verified) return fail(std::move(verified).error().because(name() + ": the manifest to push"));
    }
    const auto& selector = reference_.tag().empty() ? reference_.selector() : reference_.tag();
    return put_manifest(std::move(media_type), bytes, selector, stop);
  }

 private:
  Result<bool> has_blob(const Purpose& purpose, const Digest& digest, const std::stop_token& stop) {
    TRY_ASSIGN(const auto url, api_url(purpose, "blobs/" + digest.text()));
    auto response = session_.send(
        purpose,
        [&] {
          return net::HttpRequest{
              .method = "HEAD", .url = url, .redirects = kMaxRedirects, .timeout = exchange_time(0)};
        },
        stop);
    if (!response) return fail(std::move(response).error().because(name()));
    if (response->status == 200) return true;
    if (response->status == 404) return false;
    return fail(error_of(*response, name() + ": blob check"));
  }

  // Monolithic upload: POST opens a session, PUT to its location carries the bytes.
  Result<net::HttpResponse> upload(const Purpose& purpose, const Digest& digest, ByteView bytes,
                                   const std::stop_token& stop) {
    TRY_ASSIGN(const auto url, api_url(purpose, "blobs/uploads/"));
    TRY_ASSIGN(auto opened,
               session_.send_once(
                   purpose, [&] { return net::HttpRequest{.method = "POST", .url = url, .timeout = exchange_time(0)}; },
                   stop));
    if (net::is_passing_status(opened.status)) return opened;
    if (opened.status != 202) return fail(error_of(opened, name() + ": blob upload"));
    TRY_ASSIGN(const auto location, upload_location(purpose, opened, digest));
    return session_.send_once(
        purpose,
        [&] {
          return net::HttpRequest{.method = "PUT",
                                  .url = location,
                                  .headers = {{"Content-Type", "application/octet-stream"}},
                                  .body = bytes,
                                  .timeout = exchange_time(bytes.size())};
        },
        stop);
  }

  [[nodiscard]] Result<net::Url> upload_location(const Purpose& purpose, const net::HttpResponse& opened,
                                                 const Digest& digest) const {
    const auto header = opened.header("location");
    if (!header) return fail(Code::registry_failed, "{}: blob upload: the registry gave no location", name());
    auto location = opened.url.resolve(*header);
    if (!location) return fail(Code::registry_failed, "{}: blob upload: {}", name(), location.error().message());
    if (purpose.registry.is_https() && !location->is_https()) {
      return fail(Code::insecure_transport, "{}: blob upload would leave https for {}", name(),
                  location->for_messages());
    }
    const bool has_query = location->path_and_query().find('?') != std::string::npos;
    return net::Url::parse(location->text() + (has_query ? "&" : "?") + "digest=" + net::percent_encode(digest.text()));
  }

  Result<Descriptor> put_manifest(std::string media_type, std::string_view bytes, const std::string& selector,
                                  const std::stop_token& stop) {
    TRY_ASSIGN(const auto purpose, session_.purpose(reference_, Access::push));
    TRY_ASSIGN(const auto url, api_url(purpose, "manifests/" + selector));
    auto response = session_.send(
        purpose,
        [&] {
          return net::HttpRequest{.method = "PUT",
                                  .url = url,
                                  .headers = {{"Content-Type", media_type}},
                                  .body = bytes_of(bytes),
                                  .timeout = exchange_time(bytes.size())};
        },
        stop);
    if (!response) return fail(std::move(response).error().because(name()));
    if (response->status != 201) return fail(error_of(*response, name() + ": manifest upload"));
    TRY(check_content_digest(*response, bytes_of(bytes), name()));
    return describe(std::move(media_type), bytes_of(bytes));
  }

  Registry::Session& session_;
  const Reference reference_;
};

Registry::Registry(net::HttpClient& http, const Clock& clock, Random& random, RegistryOptions options)
    : mirrors_(std::move(options.mirrors)),
      session_(std::make_unique<Session>(http, clock, random, std::move(options))) {}

Registry::~Registry() = default;

std::unique_ptr<ImageSource> Registry::source(const Reference& reference) {
  std::vector<std::unique_ptr<ImageSource>> sources;
  for (auto& place : mirrors_.places(reference)) {
    sources.push_back(std::make_unique<RegistrySource>(*session_, std::move(place)));
  }
  sources.push_back(std::make_unique<RegistrySource>(*session_, reference));
  return first_of(std::move(sources));
}

bool Registry::has_credentials(const Reference& reference) const { return session_->has_credentials(reference); }

std::unique_ptr<ImageTarget> Registry::target(const Reference& reference) {
  return std::make_unique<RegistryTarget>(*session_, reference);
}

}  // namespace proplet::oci
