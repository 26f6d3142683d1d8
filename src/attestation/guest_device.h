// GuestDevice: a character device of the guest that is spoken to by ioctl alone, so that tests can play the kernel.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace proplet::attestation {

class GuestDevice {
 public:
  virtual ~GuestDevice() = default;
  // 0, or errno. May block as long as the kernel likes.
  virtual int control(unsigned long request, void* argument) = 0;
};

// EVIDENCE_FAILED names the path and the reason.
using DeviceOpener = std::function<Result<std::unique_ptr<GuestDevice>>(const std::string& path)>;

// Opens real devices below `root`.
DeviceOpener system_devices(std::string root);

}  // namespace proplet::attestation
