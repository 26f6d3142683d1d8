#include "module/http_source.h"

#include <algorithm>
#include <optional>
#include <string>

#include "oci/digest.h"

namespace proplet::module {
namespace {

constexpr int kMaxRedirects = 5;

struct Target {
  net::Url url;
  std::optional<oci::Digest> digest;
};

Result<Target> parse_target(std::string_view image_url) {
  const auto hash = image_url.find('#');
  auto url = net::Url::parse(image_url.substr(0, hash));
  if (!url) return fail(std::move(url).error().because("image_url"));
  Target target{*std::move(url), std::nullopt};
  if (hash == std::string_view::npos) return target;
  // A fragment that is not understood may have been meant for a digest.
  auto digest = oci::Digest::parse(image_url.substr(hash + 1));
  if (!digest) return fail(std::move(digest).error().because("image_url: the part behind # is not a digest"));
  target.digest = *std::move(digest);
  return target;
}

// The text begins as the Propeller worker's does.
Status check_status(const net::HttpResponse& response, const net::Url& url) {
  if (response.status == 200) return {};
  return fail(Code::download_failed, "HTTP {} fetching wasm from {}", response.status, url.for_messages());
}

Status check_media_type(const net::HttpResponse& response, const net::Url& url) {
  const auto header = response.header("content-type");
  if (!header || header->empty()) return {};
  std::string type(header->substr(0, 128));
  std::ranges::transform(type, type.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto contains = [&](std::string_view wanted) { return type.find(wanted) != std::string::npos; };
  if (contains("application/wasm") || contains("application/octet-stream")) return {};
  return fail(Code::download_failed, "{} has the media type {}, neither application/wasm nor application/octet-stream",
              url.for_messages(), type);
}

Status check_digest(ByteView bytes, const std::optional<oci::Digest>& digest, const net::Url& url) {
  if (!digest) return {};
  auto same = oci::verify_digest(bytes, *digest);
  if (!same) return fail(std::move(same).error().because(url.for_messages()));
  return {};
}

}  // namespace

bool HttpSource::is_for(std::string_view image_url) {
  return image_url.starts_with("http://") || image_url.starts_with("https://");
}

Result<Module> HttpSource::fetch(std::string_view image_url, StageObserver* observer, std::stop_token stop) const {
  const StageTimer pulling(Stage::pull, observer);
  const auto download = [&]() -> Result<Module> {
    TRY_ASSIGN(const Target target, parse_target(image_url));
    const net::HttpRequest request{.url = target.url,
                                   .headers = {{"Accept", "application/wasm, application/octet-stream"}},
                                   .max_response_bytes = options_.max_module_bytes,
                                   .redirects = kMaxRedirects,
                                   .timeout = options_.longest};
    TRY_ASSIGN(const auto response,
               net::with_retries(options_.retry, clock_, random_, stop, [&] { return http_.send(request, stop); }));
    TRY(check_status(response, target.url));
    TRY(check_media_type(response, target.url));
    TRY(check_digest(response.body, target.digest, target.url));
    const auto digest = oci::Digest::of(response.body);
    return Module{.bytes = SecretBytes::copy_of(response.body),
                  .digest = digest.text(),
                  .source = target.url.for_messages() + " (" + digest.text() + ")",
                  .confidential = false};
  };
  auto module = download();
  if (!module) return fail(std::move(module).error().at(Stage::pull));
  return module;
}

}  // namespace proplet::module
