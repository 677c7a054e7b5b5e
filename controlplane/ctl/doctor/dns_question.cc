// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/dns_question.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>

namespace sluice::ctl {

namespace {

constexpr int kTries = 2;
constexpr int kTimeoutMs = 1000;  // of the first

/// As the library has put it: by the code of an answer, or that there was none.
DnsSaid said_by(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return {DnsSaid::What::kRecords, ""};
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      return {DnsSaid::What::kNone, ""};
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
      return {};
    case ARES_EFORMERR:
      return {DnsSaid::What::kFault, "FORMERR"};
    case ARES_ESERVFAIL:
      return {DnsSaid::What::kFault, "SERVFAIL"};
    case ARES_ENOTIMP:
      return {DnsSaid::What::kFault, "NOTIMP"};
    case ARES_EREFUSED:
      return {DnsSaid::What::kFault, "REFUSED"};
    default:
      return {DnsSaid::What::kFault, ares_strerror(status)};
  }
}

/// A channel to one server.
class Channel {
 public:
  explicit Channel(const DnsServer& server) : link_(server.scope) {
    ares_options options{};
    // What the answer says counts, whatever it is; one that is cut short has records.
    options.flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_IGNTC;
    options.timeout = kTimeoutMs;
    options.tries = kTries;
    is_ready_ =
        ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS &&
        ares_init_options(&channel_, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) == ARES_SUCCESS &&
        ares_set_servers_ports_csv(channel_, server.address.to_string().c_str()) == ARES_SUCCESS;
    if (!link_.empty() && channel_ != nullptr) ares_set_socket_configure_callback(channel_, bind_to_link, &link_);
  }
  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
    ares_library_cleanup();
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  DnsSaid ask(const std::string& name, DnsType type) {
    DnsSaid out;
    if (!is_ready_) return out;
    ares_query(channel_, name.c_str(), ns_c_in, static_cast<int>(type), on_answer, &out);
    for (;;) {
      fd_set reads, writes;
      FD_ZERO(&reads);
      FD_ZERO(&writes);
      const int count = ares_fds(channel_, &reads, &writes);
      if (count == 0) return out;
      timeval left{};
      select(count, &reads, &writes, nullptr, ares_timeout(channel_, nullptr, &left));
      ares_process(channel_, &reads, &writes);
    }
  }

 private:
  static void on_answer(void* said, int status, int, unsigned char*, int) {
    *static_cast<DnsSaid*>(said) = said_by(status);
  }

  /// The library knows no scopes: its socket is of that link alone.
  static int bind_to_link(ares_socket_t socket, int, void* link) {
    const auto& name = *static_cast<const std::string*>(link);
    return setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), static_cast<socklen_t>(name.size()));
  }

  ares_channel channel_ = nullptr;
  std::string link_;
  bool is_ready_ = false;
};

}  // namespace

std::string_view name_of(DnsType type) {
  switch (type) {
    case DnsType::kA:
      return "A";
    case DnsType::kMx:
      return "MX";
    case DnsType::kTxt:
      return "TXT";
    case DnsType::kAaaa:
      return "AAAA";
    case DnsType::kSrv:
      return "SRV";
    case DnsType::kTlsa:
      return "TLSA";
  }
  return "";
}

std::string DnsServer::to_string() const {
  std::string out = address.to_string();
  if (!scope.empty()) out.insert(std::min(out.rfind(']'), out.size()), "%" + scope);
  return out;
}

DnsSaid ask_dns(const DnsServer& server, const std::string& name, DnsType type) {
  return Channel(server).ask(name, type);
}

}  // namespace sluice::ctl
