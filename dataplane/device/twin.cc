// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/twin.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <rte_errno.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/base/setup_error.h"
#include "dataplane/packet/vlan_tag.h"

namespace sluice {
namespace {

constexpr size_t kMostSegments = 8;  // of a frame

/// One write: the kernel takes a frame whole or not at all.
bool write_frame(int descriptor, const rte_mbuf* mbuf) {
  std::array<iovec, kMostSegments> pieces;
  int count = 0;
  for (const rte_mbuf* piece = mbuf; piece != nullptr; piece = piece->next) {
    if (static_cast<size_t>(count) == pieces.size()) return false;
    pieces[static_cast<size_t>(count++)] = {.iov_base = rte_pktmbuf_mtod(piece, void*), .iov_len = piece->data_len};
  }
  return writev(descriptor, pieces.data(), count) >= 0;
}

}  // namespace

Twin::Twin(const TwinOptions& options, rte_mempool* pool) : options_(options), pool_(pool) {
  open();
}

Twin::~Twin() {
  rte_pktmbuf_free(spare_);
}

void Twin::open() {
  if (if_nametoindex(options_.interface.c_str()) != 0)
    fail("an interface of that name exists; remove or rename it", EEXIST);
  tap_ = Descriptor(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tap_) fail("/dev/net/tun cannot be opened; `modprobe tun`", errno);
  ifreq request{};
  std::ranges::copy(options_.interface.substr(0, IFNAMSIZ - 1), request.ifr_name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(tap_.get(), TUNSETIFF, &request) != 0) fail("the TAP could not be made", errno);
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto set = [&](unsigned long what, const char* words) {
    if (ioctl(socket.get(), what, &request) != 0) fail(words, errno);
  };
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::ranges::copy(options_.mac.bytes, request.ifr_hwaddr.sa_data);
  set(SIOCSIFHWADDR, "the TAP does not take the port's MAC address");
  request.ifr_mtu = options_.mtu;
  set(SIOCSIFMTU, "the TAP does not take the port's MTU");
  set(SIOCGIFFLAGS, "the TAP does not tell its flags");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  set(SIOCSIFFLAGS, "the TAP could not be set up");
}

void Twin::close() {
  tap_ = Descriptor();
}

bool Twin::is_there() const {
  ifreq request{};
  return tap_ && ioctl(tap_.get(), TUNGETIFF, &request) == 0;
}

bool Twin::renew() {
  close();
  try {
    open();
  } catch (const SetupError& error) {
    spdlog::error("{}", error.what());
    close();
    return false;
  }
  return true;
}

bool Twin::restore_mac() {
  ifreq request{};
  if (ioctl(tap_.get(), SIOCGIFHWADDR, &request) != 0) return false;
  const auto ours = std::span(options_.mac.bytes);
  if (std::ranges::equal(ours, std::span(request.ifr_hwaddr.sa_data).first(ours.size()),
                         [](uint8_t our, char its) { return our == static_cast<uint8_t>(its); }))
    return false;
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::ranges::copy(ours, request.ifr_hwaddr.sa_data);
  return ioctl(tap_.get(), SIOCSIFHWADDR, &request) == 0;
}

void Twin::give(std::span<rte_mbuf*> mbufs) {
  uint64_t given = 0;
  for (rte_mbuf* mbuf : mbufs) {
    remove_tag(mbuf, options_.vlan);
    if (tap_ && write_frame(tap_.get(), mbuf)) given++;
  }
  rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(mbufs.size()));
  counters_.to_kernel += given;
  counters_.lost_to_kernel += mbufs.size() - given;
}

uint16_t Twin::take(std::span<rte_mbuf*> mbufs) {
  uint16_t kept = 0;
  while (is_readable_ && kept < mbufs.size()) {
    rte_mbuf* mbuf = read_frame();
    if (mbuf == nullptr) break;
    mbuf->port = options_.port_index;
    if (add_tag(mbuf, options_.vlan)) {
      mbufs[kept++] = mbuf;
    } else {
      rte_pktmbuf_free(mbuf);
      counters_.lost_from_kernel++;
    }
  }
  counters_.from_kernel += kept;
  return kept;
}

rte_mbuf* Twin::read_frame() {
  if (spare_ == nullptr) spare_ = rte_pktmbuf_alloc(pool_);
  if (spare_ == nullptr) return nullptr;  // it waits in the kernel
  const ssize_t bytes = read(tap_.get(), rte_pktmbuf_mtod(spare_, void*), rte_pktmbuf_tailroom(spare_));
  if (bytes <= 0) {
    is_readable_ = false;
    return nullptr;
  }
  spare_->data_len = static_cast<uint16_t>(bytes);
  spare_->pkt_len = static_cast<uint32_t>(bytes);
  return std::exchange(spare_, nullptr);
}

bool Twin::set_carrier(bool up) {
  const int carrier = up ? 1 : 0;
  if (ioctl(tap_.get(), TUNSETCARRIER, &carrier) == 0) return true;
  spdlog::warn("port {}: the carrier of twin {} does not follow the link: {}", options_.port, options_.interface,
               rte_strerror(errno));
  return false;
}

void Twin::fail(const std::string& what, int error) const {
  throw SetupError(
      fmt::format("port {}: twin {}: {} ({})", options_.port, options_.interface, what, rte_strerror(error)));
}

}  // namespace sluice
