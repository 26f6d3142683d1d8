#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

namespace proplet::net {
namespace {

constexpr std::uint32_t kAlibabaMetadata = 0x646464c8;  // 100.100.100.200
constexpr std::array<std::uint8_t, 16> kAmazonMetadata{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54};
constexpr std::array<std::uint8_t, 12> kNat64{0x00, 0x64, 0xff, 0x9b};

template <class Address>
std::optional<Address> copy_of(const sockaddr* address, socklen_t size) {
  Address copy{};
  if (size < sizeof(copy)) return std::nullopt;
  std::memcpy(&copy, address, sizeof(copy));
  return copy;
}

}  // namespace

bool is_link_local(std::uint32_t ipv4) { return (ipv4 >> 16) == 0xa9fe || ipv4 == kAlibabaMetadata; }

bool is_link_local(const in6_addr& ipv6) {
  const std::span<const std::uint8_t, 16> bytes(ipv6.s6_addr);
  const bool stands_for_ipv4 = IN6_IS_ADDR_V4MAPPED(&ipv6) || IN6_IS_ADDR_V4COMPAT(&ipv6) ||
                               std::equal(kNat64.begin(), kNat64.end(), bytes.begin());
  if (stands_for_ipv4) {
    return is_link_local((std::uint32_t{bytes[12]} << 24) | (std::uint32_t{bytes[13]} << 16) |
                         (std::uint32_t{bytes[14]} << 8) | bytes[15]);
  }
  return IN6_IS_ADDR_LINKLOCAL(&ipv6) || std::equal(bytes.begin(), bytes.end(), kAmazonMetadata.begin());
}

bool is_link_local(const sockaddr* address, socklen_t size) {
  if (address->sa_family == AF_INET) {
    const auto ipv4 = copy_of<sockaddr_in>(address, size);
    return ipv4 && is_link_local(ntohl(ipv4->sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return false;
  const auto ipv6 = copy_of<sockaddr_in6>(address, size);
  return ipv6 && is_link_local(ipv6->sin6_addr);
}

std::string text_of_address(const sockaddr* address, socklen_t size) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (const auto ipv4 = copy_of<sockaddr_in>(address, size); ipv4 && address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &ipv4->sin_addr, text.data(), text.size());
  } else if (const auto ipv6 = copy_of<sockaddr_in6>(address, size); ipv6 && address->sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &ipv6->sin6_addr, text.data(), text.size());
  }
  return text.data();
}

}  // namespace proplet::net
