// Archives inside layers: gzip and zstd stay within their limit, and tar entries lie inside the archive.
#include "fuzz.h"
#include "module/archive.h"
#include "module/decompress.h"

namespace module = proplet::module;
using proplet::fuzz::check;

namespace {

void check_tar(proplet::ByteView archive) {
  module::TarReader reader(archive);
  while (true) {
    const auto entry = reader.next();
    if (!entry || !*entry) return;
    const auto& content = (*entry)->content;
    check(content.empty() ||
              (content.data() >= archive.data() && content.data() + content.size() <= archive.data() + archive.size()),
          "an entry lies inside the archive");
    check(!(*entry)->name.starts_with('/') && (*entry)->name.find('\0') == std::string::npos, "names are relative");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLimit = std::size_t{1} << 20;
  const proplet::ByteView input(data, size);
  check_tar(input);
  std::vector<proplet::SecretBytes> layers;
  layers.push_back(proplet::SecretBytes::copy_of(input));
  for (const auto expand : {module::gunzip, module::unzstd}) {
    auto unpacked = expand(input, kLimit, {});
    if (!unpacked) continue;
    check(unpacked->size() <= kLimit, "the limit holds");
    check_tar(unpacked->view());
    layers.push_back(std::move(*unpacked));
  }
  const auto found = module::find_module_in_layers(layers, std::nullopt);
  if (found) check(found->size() <= layers.back().size() + size, "a module is no larger than the layers");
  return 0;
}
