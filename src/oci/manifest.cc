#include "oci/manifest.h"

#include <algorithm>

#include "oci/json_errors.h"

namespace proplet::oci {
namespace {

enum class Kind : std::uint8_t { manifest, index };

std::string_view trim(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// "Application/Vnd...+json; charset=utf-8" without case and parameters.
std::string essence(std::string_view content_type) {
  std::string type(trim(content_type.substr(0, content_type.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return type;
}

std::optional<Kind> kind_of(std::string_view media_type) {
  if (media_type == kOciManifestType || media_type == kDockerManifestType) return Kind::manifest;
  if (media_type == kOciIndexType || media_type == kDockerIndexType) return Kind::index;
  return std::nullopt;
}

// A type from a stranger, fit for an error text.
std::string quoted(std::string_view media_type) { return "'" + std::string(media_type.substr(0, 100)) + "'"; }

Status check_version(const json::object& document) {
  TRY_ASSIGN(const auto version, json::required_integer(document, "schemaVersion"));
  if (version == 1) return fail(Code::media_type_unsupported, "image manifests of schema 1 are not supported");
  if (version != 2) return fail(Code::format_invalid, "member 'schemaVersion' is not 2");
  return {};
}

// The type the document has, by its own word and by that of whoever sent it: they must not disagree.
Result<std::string> effective_type(const json::object& document, std::string_view content_type) {
  TRY_ASSIGN(const auto own, json::optional_string(document, "mediaType"));
  const auto announced = essence(content_type);
  if (own && !announced.empty() && *own != announced) {
    return fail(Code::format_invalid, "mediaType {} differs from the announced type {}", quoted(*own),
                quoted(announced));
  }
  return own.value_or(announced);
}

// What the members say. Both kinds at once, or none, is refused (CVE-2021-41190).
Result<Kind> shape_of(const json::object& document) {
  const bool manifest = document.contains("config") || document.contains("layers");
  const bool index = document.contains("manifests");
  if (manifest && index) return fail(Code::format_invalid, "document is both an image manifest and an index");
  if (manifest) return Kind::manifest;
  if (index) return Kind::index;
  return fail(Code::format_invalid, "document is neither an image manifest nor an index");
}

Result<std::vector<Descriptor>> read_descriptors(const json::object& document, std::string_view name,
                                                 std::size_t limit) {
  TRY_ASSIGN(const auto* const array, json::required_array(document, name));
  if (array->size() > limit) return fail(Code::size_limit, "member '{}' has more than {} entries", name, limit);
  std::vector<Descriptor> descriptors;
  for (const auto& entry : *array) {
    const auto path = fmt::format("{}[{}].", name, descriptors.size());
    const auto* const object = entry.if_object();
    if (object == nullptr)
      return fail(Code::format_invalid, "member '{}[{}]' is not an object", name, descriptors.size());
    TRY_ASSIGN(auto descriptor, parse_descriptor(*object, path));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

Result<Document> read_manifest(const json::object& document, std::string media_type) {
  TRY_ASSIGN(auto artifact_type, json::optional_string(document, "artifactType"));
  TRY_ASSIGN(const auto* const config_object, json::required_object(document, "config"));
  TRY_ASSIGN(auto config, parse_descriptor(*config_object, "config."));
  TRY_ASSIGN(auto layers, read_descriptors(document, "layers", kMaxLayers));
  TRY_ASSIGN(const auto* const subject_object, json::optional_object(document, "subject"));
  TRY_ASSIGN(auto annotations, parse_annotations(document, ""));
  Manifest manifest{.media_type = std::move(media_type),
                    .artifact_type = artifact_type.value_or(std::string()),
                    .config = std::move(config),
                    .layers = std::move(layers),
                    .subject = std::nullopt,
                    .annotations = std::move(annotations)};
  if (subject_object != nullptr) {
    TRY_ASSIGN(manifest.subject, parse_descriptor(*subject_object, "subject."));
  }
  return Document(std::move(manifest));
}

Result<Document> read_index(const json::object& document, std::string media_type) {
  TRY_ASSIGN(auto manifests, read_descriptors(document, "manifests", kMaxIndexEntries));
  TRY_ASSIGN(auto annotations, parse_annotations(document, ""));
  return Document(Index{std::move(media_type), std::move(manifests), std::move(annotations)});
}

Result<Document> read_document(std::string_view text, std::string_view content_type) {
  TRY_ASSIGN(const auto document, json::parse_object(text, {.bytes = kMaxManifestBytes}));
  TRY(check_version(document));
  TRY_ASSIGN(auto type, effective_type(document, content_type));
  TRY_ASSIGN(const auto shape, shape_of(document));
  if (type.empty()) type = shape == Kind::manifest ? kOciManifestType : kOciIndexType;
  const auto kind = kind_of(type);
  if (!kind) return fail(Code::media_type_unsupported, "{} is not an image manifest or index", quoted(type));
  if (*kind != shape)
    return fail(Code::format_invalid, "document has the members of another type than {}", quoted(type));
  return shape == Kind::manifest ? read_manifest(document, std::move(type)) : read_index(document, std::move(type));
}

json::array to_json(const std::vector<Descriptor>& descriptors) {
  json::array array;
  for (const auto& descriptor : descriptors) array.push_back(to_json(descriptor));
  return array;
}

json::object start_document(std::string_view media_type, std::string_view otherwise) {
  return {{"schemaVersion", 2}, {"mediaType", media_type.empty() ? otherwise : media_type}};
}

}  // namespace

Result<Document> parse_document(std::string_view text, std::string_view content_type) {
  return recode(read_document(text, content_type), Code::manifest_invalid);
}

Result<Manifest> parse_manifest(std::string_view text, std::string_view content_type) {
  TRY_ASSIGN(auto document, parse_document(text, content_type));
  if (auto* const manifest = std::get_if<Manifest>(&document)) return std::move(*manifest);
  return fail(Code::manifest_invalid, "an index stands where an image manifest is expected");
}

Result<Index> parse_index(std::string_view text, std::string_view content_type) {
  TRY_ASSIGN(auto document, parse_document(text, content_type));
  if (auto* const index = std::get_if<Index>(&document)) return std::move(*index);
  return fail(Code::manifest_invalid, "an image manifest stands where an index is expected");
}

std::string serialize(const Manifest& manifest) {
  auto document = start_document(manifest.media_type, kOciManifestType);
  if (!manifest.artifact_type.empty()) document["artifactType"] = manifest.artifact_type;
  document["config"] = to_json(manifest.config);
  document["layers"] = to_json(manifest.layers);
  if (manifest.subject) document["subject"] = to_json(*manifest.subject);
  if (!manifest.annotations.empty()) document["annotations"] = to_json(manifest.annotations);
  return json::serialize(document);
}

std::string serialize(const Index& index) {
  auto document = start_document(index.media_type, kOciIndexType);
  document["manifests"] = to_json(index.manifests);
  if (!index.annotations.empty()) document["annotations"] = to_json(index.annotations);
  return json::serialize(document);
}

}  // namespace proplet::oci
