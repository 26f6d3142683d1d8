#include "kbs/given_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxKeyFile = 65536;  // bytes

}  // namespace

Result<std::unique_ptr<GivenKey>> GivenKey::from_private_file(const std::string& path) {
  TRY_ASSIGN(auto key, read_secret_file(path, kMaxKeyFile));
  struct stat status{};
  const bool known = ::stat(path.c_str(), &status) == 0;
  if (!known || status.st_uid != ::geteuid() || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Code::config_invalid,
                "key file {} is not for its owner alone; chown it to this user and chmod it to 600", path);
  }
  return std::make_unique<GivenKey>(std::move(key));
}

}  // namespace proplet::kbs
