// Which network addresses lead to a machine's own metadata service. Private to net/.
//
// Clouds serve a machine's identity and credentials on link-local addresses, and a few on fixed addresses elsewhere;
// whoever can make a worker fetch from there can read them. An IPv6 address that stands for an IPv4 address counts as
// that one (mapped and compatible, RFC 4291 section 2.5.5; NAT64, RFC 6052).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace proplet::net {

bool is_link_local(std::uint32_t ipv4);  // in host order
bool is_link_local(const in6_addr& ipv6);
// False for what is neither IPv4 nor IPv6.
bool is_link_local(const sockaddr* address, socklen_t size);

// For messages: "169.254.169.254".
std::string text_of_address(const sockaddr* address, socklen_t size);

}  // namespace proplet::net
