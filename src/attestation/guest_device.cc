#include "attestation/guest_device.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <system_error>

#include "base/fd.h"

namespace proplet::attestation {
namespace {

class SystemDevice final : public GuestDevice {
 public:
  explicit SystemDevice(UniqueFd fd) : fd_(std::move(fd)) {}
  int control(unsigned long request, void* argument) override {
    return ::ioctl(fd_.get(), request, argument) == 0 ? 0 : errno;
  }

 private:
  UniqueFd fd_;
};

}  // namespace

DeviceOpener system_devices(std::string root) {
  return [root = std::move(root)](const std::string& path) -> Result<std::unique_ptr<GuestDevice>> {
    UniqueFd fd(::open((root + path).c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) {
      return fail(Code::evidence_failed, "cannot open {}: {}", path, std::generic_category().message(errno));
    }
    return std::make_unique<SystemDevice>(std::move(fd));
  };
}

}  // namespace proplet::attestation
