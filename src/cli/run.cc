// propctl run: the worker's path from image to result in one process, without a broker or a Manager.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "attestation/choice.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "kbs/client.h"
#include "module/image_opener.h"
#include "runtime/wasmtime_runtime.h"
#include "worker/stage_recorder.h"

namespace proplet::cli {
namespace {

constexpr std::size_t kMaxModuleBytes = std::size_t{512} << 20;

struct RunOptions {
  std::string image;
  std::vector<std::string> arguments;
  std::string function;
  std::vector<std::string> environment;
  std::vector<std::string> directories;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  double timeout_seconds = 0;
  bool encrypted = false;
  bool stages = false;
  std::string key_file;
  std::string kbs_url;
  std::string kbs_ca_file;
  std::string kbs_resource_path;
  std::string tee = "auto";
  RegistryFlags registry;
};
