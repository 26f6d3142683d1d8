#include "oci/mirror.h"

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

namespace proplet::oci {
namespace {

Result<Reference> at(const std::string& place, const Reference& reference) {
  auto text = place + "/" + reference.repository();
  if (!reference.tag().empty()) text += ":" + reference.tag();
  if (reference.digest()) text += "@" + reference.digest()->text();
  return Reference::parse(text);
}

class FirstOf final : public ImageSource {
 public:
  explicit FirstOf(std::vector<std::unique_ptr<ImageSource>> sources)
      : sources_(std::move(sources)), unreachable_(sources_.size()) {}

  [[nodiscard]] std::string name() const override { return sources_.back()->name(); }
  Result<RawManifest> resolve(std::stop_token stop) override {
    return try_each(stop, [&](ImageSource& source) { return source.resolve(stop); });
  }
  Result<RawManifest> fetch_manifest(const Descriptor& descriptor, std::stop_token stop) override {
    return try_each(stop, [&](ImageSource& source) { return source.fetch_manifest(descriptor, stop); });
  }
  Result<SecretBytes> fetch_blob(const Descriptor& descriptor, std::size_t limit, std::stop_token stop) override {
    return try_each(stop, [&](ImageSource& source) { return source.fetch_blob(descriptor, limit, stop); });
  }

 private:
  template <class Fetch>
  std::invoke_result_t<Fetch, ImageSource&> try_each(const std::stop_token& stop, Fetch fetch) {
    std::vector<Error> mirror_errors;
    for (std::size_t i = 0; i + 1 < sources_.size(); ++i) {
      if (unreachable_[i].load()) continue;
      auto result = fetch(*sources_[i]);
      if (result || stop.stop_requested()) return result;
      if (result.error().code() == Code::registry_unreachable) unreachable_[i].store(true);
      mirror_errors.push_back(std::move(result).error());
    }
    auto result = fetch(*sources_.back());
    if (result) return result;
    auto error = std::move(result).error();
    for (const auto& mirror_error : mirror_errors) error = std::move(error).caused_by(mirror_error);
    return fail(std::move(error));
  }

  const std::vector<std::unique_ptr<ImageSource>> sources_;
  std::vector<std::atomic<bool>> unreachable_;
};

}  // namespace

Result<Mirrors> Mirrors::parse(const std::vector<std::string>& rules) {
  Mirrors mirrors;
  for (const auto& rule : rules) {
    const auto equals = rule.find('=');
    const auto registry = rule.substr(0, equals);
    auto place = equals == std::string::npos ? std::string() : rule.substr(equals + 1);
    while (place.ends_with('/')) place.pop_back();
    // What a reference may have in front of a repository is what a rule may hold.
    const auto from = Reference::parse(registry + "/x/y");
    const auto to = Reference::parse(place + "/x");
    const auto host = place.substr(0, place.find('/'));
    if (!from || !to || from->registry() != registry || to->registry() != host) {
      return fail(Code::config_invalid, "mirror '{}' is not of the form REGISTRY=HOST[:PORT][/PREFIX]", rule);
    }
    mirrors.rules_.push_back({registry, std::move(place)});
  }
  return mirrors;
}

std::vector<Reference> Mirrors::places(const Reference& reference) const {
  std::vector<Reference> places;
  for (const auto& rule : rules_) {
    if (rule.registry != reference.registry()) continue;
    auto place = at(rule.place, reference);
    if (place) places.push_back(std::move(*place));
  }
  return places;
}

std::unique_ptr<ImageSource> first_of(std::vector<std::unique_ptr<ImageSource>> sources) {
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<FirstOf>(std::move(sources));
}

}  // namespace proplet::oci
