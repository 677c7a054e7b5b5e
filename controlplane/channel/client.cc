// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/client.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <unordered_set>

namespace sluice::control {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

constexpr auto kHelloTimeout = 2s;
constexpr auto kWorkersTimeout = 10s;
constexpr auto kFirstPoll = 50us;  // a polling worker needs microseconds
constexpr auto kLongestPoll = 1ms;
constexpr auto kStuckAfter = 5s;

struct Received {
  channel::Hello hello;
  std::vector<Descriptor> descriptors;  // as in contract/segment.h
};

/// Takes what the kernel passed along out of `message`.
std::vector<Descriptor> take_descriptors(msghdr& message) {
  std::vector<Descriptor> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

std::expected<Received, std::string> receive_hello(int socket) {
  Received out;
  iovec bytes{&out.hello, sizeof out.hello};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(channel::kMaxDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n == 0) return std::unexpected("the data plane closed the connection before it greeted");
  if (n < 0) return std::unexpected(fmt::format("no greeting from the data plane: {}", std::strerror(errno)));
  out.descriptors = take_descriptors(message);
  if (n != sizeof out.hello || out.hello.magic != channel::kSegmentMagic || out.descriptors.size() < 2) {
    return std::unexpected("what listens on the channel socket does not speak Sluice's channel");
  }
  if (out.hello.abi_version != channel::kAbiVersion) {
    return std::unexpected(
        fmt::format("the data plane speaks version {} of the channel, we speak {}; run sluice-control and "
                    "sluice-dataplane of one version",
                    out.hello.abi_version, channel::kAbiVersion));
  }
  if (out.descriptors.size() != 2 + size_t{out.hello.flow_memories}) {
    return std::unexpected("the data plane's greeting came without the memory that it names");
  }
  return out;
}

/// Whether the peer has closed. It never sends anything after its greeting.
bool is_closed(int socket) {
  char byte = 0;
  const ssize_t n = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

std::string_view words_for(uint32_t reason) {
  switch (static_cast<channel::RejectReason>(reason)) {
    case channel::RejectReason::kUnknownType:
      return "unknown type of command";
    case channel::RejectReason::kIdOutOfRange:
      return "id out of range";
    case channel::RejectReason::kTableOutOfArena:
      return "table outside the shared memory";
    case channel::RejectReason::kBadEnum:
      return "unknown setting";
    case channel::RejectReason::kBadPortIndex:
      return "port that the data plane does not have; both processes must read the same file";
    case channel::RejectReason::kServiceEndpointTaken:
      return "another service has this address and port";
    case channel::RejectReason::kLocalIndexTaken:
      return "index of another address of ours";
    case channel::RejectReason::kServiceTableFull:
      return "too many services";
    case channel::RejectReason::kBadInspection:
      return "inspection that is not as it should be";
    case channel::RejectReason::kBadSources:
      return "list of more sources than it takes";
    case channel::RejectReason::kBadRefusal:
      return "text of a refusal that is not printable, or too long";
    case channel::RejectReason::kBadLimits:
      return "limits that are not as they should be";
    case channel::RejectReason::kBadTimeout:
      return "timeout that is too long";
    case channel::RejectReason::kBadServerRoutes:
      return "table of routes that is not as it should be";
  }
  return "unknown reason";
}

}  // namespace

ChannelClient::ChannelClient(asio::io_context& io, std::string socket_path, Handlers handlers, Retry retry)
    : io_(io),
      socket_path_(std::move(socket_path)),
      handlers_(std::move(handlers)),
      retry_(retry),
      pause_timer_(io),
      pump_timer_(io) {}

void ChannelClient::start() {
  asio::co_spawn(io_, run(), asio::detached);
}

void ChannelClient::stop() {
  stopped_ = true;
  pause_timer_.cancel();
  pump_timer_.cancel();
  error_code ignored;
  if (socket_) socket_->close(ignored);
}

void ChannelClient::publish(Desired desired, Clock::time_point cause) {
  desired_ = std::move(desired);
  cause_ = cause_ ? std::min(*cause_, cause) : cause;
  if (!session_) {
    begin_session();
  } else {
    session_->publisher.aim_for(*desired_);
  }
  pump();
}

bool ChannelClient::tell_workers(std::vector<channel::Command> commands) {
  if (!session_) return false;
  if (has_said_all()) progress_ = Clock::now();
  session_->publisher.number(commands);
  session_->feed.append(commands);
  poll_interval_ = kFirstPoll;
  pump();
  return true;
}

bool ChannelClient::tell_main(const channel::Command& command) {
  return attached_ && channel::put_all(mapping_->main_ring(), std::span<const channel::Command>(&command, 1));
}

KnownKeys ChannelClient::known() const {
  KnownKeys out;
  if (!attached_) return out;
  const auto add = [](std::unordered_set<uint64_t>& keys, std::span<const channel::Identity> identities) {
    for (const channel::Identity& identity : identities) {
      if (identity.key != 0) keys.insert(identity.key);
    }
  };
  for (uint32_t worker = 0; worker < mapping_->workers(); worker++) {
    add(out.services, mapping_->worker_stats(worker).service_ids);
    add(out.backends, mapping_->worker_stats(worker).backend_ids);
  }
  return out;
}

bool ChannelClient::is_settled() const {
  return has_said_all() && session_->publisher.is_complete();
}

bool ChannelClient::has_said_all() const {
  return session_ && !session_->publisher.is_waiting() &&
         session_->publisher.acknowledged() == session_->publisher.last_sequence();
}

asio::awaitable<void> ChannelClient::pause(std::chrono::microseconds time) {
  error_code ignored;
  pause_timer_.expires_after(time);
  co_await pause_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> ChannelClient::run() {
  std::chrono::milliseconds retry = retry_.first;
  while (!stopped_) {
    const auto reason = co_await serve_one_connection();
    const bool was_up = attached_;
    if (mapping_ && handlers_.ending) handlers_.ending();
    end_session();
    if (stopped_) co_return;
    if (was_up) retry = retry_.first;
    if (const std::string text = reason.value_or("unknown"); text != last_reason_ || was_up) {
      last_reason_ = text;
      if (handlers_.disconnected) handlers_.disconnected(text);
    }
    co_await pause(retry);
    retry = std::min(retry * 2, retry_.longest);
  }
}

asio::awaitable<std::optional<std::string>> ChannelClient::serve_one_connection() {
  error_code error;
  socket_ = std::make_unique<Socket>(io_);
  Socket& socket = *socket_;
  co_await socket.async_connect(asio::local::stream_protocol::endpoint(socket_path_),
                                asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fmt::format("cannot reach the data plane at {}: {}", socket_path_, error.message());
  if (auto fault = co_await receive_mapping(socket)) co_return fault;
  if (auto fault = co_await wait_for_workers(socket)) co_return fault;
  attached_ = true;
  last_reason_.clear();
  if (handlers_.connected) handlers_.connected(mapping_->workers());
  if (!session_) begin_session();  // the owner may have published by now
  pump();
  for (;;) {
    co_await socket.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
    std::array<char, 64> unexpected;  // read all the same, or it would wake us for ever
    if (error || is_closed(socket.native_handle())) break;
    (void)!recv(socket.native_handle(), unexpected.data(), unexpected.size(), MSG_DONTWAIT);
  }
  co_return "the data plane closed the connection";
}

asio::awaitable<std::optional<std::string>> ChannelClient::receive_mapping(Socket& socket) {
  asio::steady_timer deadline(io_, kHelloTimeout);
  deadline.async_wait([this](error_code cancelled) {
    if (!cancelled && socket_) socket_->cancel(cancelled);
  });
  error_code error;
  co_await socket.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
  deadline.cancel();
  if (error) co_return "the data plane does not greet";
  auto received = receive_hello(socket.native_handle());
  if (!received) co_return received.error();
  auto mapping = ChannelMapping::map(received->descriptors);
  if (!mapping) co_return mapping.error();
  mapping_.emplace(std::move(*mapping));
  co_return std::nullopt;
}

asio::awaitable<std::optional<std::string>> ChannelClient::wait_for_workers(Socket& socket) {
  const auto deadline = Clock::now() + kWorkersTimeout;
  for (uint32_t worker = 0; worker < mapping_->workers();) {
    if (mapping_->has_moved(worker)) {
      worker++;
      continue;
    }
    if (stopped_ || is_closed(socket.native_handle())) co_return "the data plane closed the connection";
    if (Clock::now() > deadline) co_return fmt::format("worker {} of the data plane does not respond", worker);
    co_await pause(kLongestPoll);
  }
  co_return std::nullopt;
}

void ChannelClient::begin_session() {
  if (!attached_ || !desired_ || session_) return;
  std::vector<std::span<const channel::Identity>> services, backends, locals;
  std::vector<rte_ring*> rings;
  for (uint32_t worker = 0; worker < mapping_->workers(); worker++) {
    services.emplace_back(mapping_->worker_stats(worker).service_ids);
    backends.emplace_back(mapping_->worker_stats(worker).backend_ids);
    locals.emplace_back(mapping_->worker_stats(worker).local_ids);
    rings.push_back(mapping_->command_ring(worker));
  }
  std::unordered_set<uint64_t> wanted;
  for (const DesiredService& service : desired_->services) wanted.insert(service.key);
  for (const DesiredBackend& backend : desired_->backends) wanted.insert(backend.key);
  for (const DesiredLocal& local : desired_->locals) wanted.insert(local.key);
  session_.reset(new Session{
      Publisher(mapping_->arena(), mapping_->workers(),
                {IdAllocator(services, wanted), IdAllocator(backends, wanted), IdAllocator(locals, wanted)}),
      CommandFeed(rings)});
  session_->publisher.aim_for(*desired_);
  progress_ = Clock::now();
  cause_ = progress_;  // the time before the connection is not the snapshot's
}

void ChannelClient::end_session() {
  pump_timer_.cancel();
  session_.reset();
  marks_.clear();
  cause_.reset();
  attached_ = false;
  mapping_.reset();
  socket_.reset();
}

void ChannelClient::pump() {
  if (!session_) return;
  collect_acknowledgements();
  report_rejections();
  send_differences();
  arm_timer();
}

void ChannelClient::collect_acknowledgements() {
  for (uint32_t worker = 0; worker < mapping_->workers(); worker++) {
    if (mapping_->has_moved(worker)) session_->feed.note_applied(worker, mapping_->applied(worker));
  }
  const uint64_t acknowledged = session_->feed.acknowledged();
  if (acknowledged == session_->publisher.acknowledged()) return;
  progress_ = Clock::now();
  session_->publisher.acknowledge(acknowledged);
  while (!marks_.empty() && marks_.front().sequence <= acknowledged) {
    last_latency_ = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - marks_.front().cause);
    marks_.pop_front();
    latencies_.add(*last_latency_);
    if (handlers_.in_use) handlers_.in_use(*last_latency_);
  }
}

void ChannelClient::send_differences() {
  // Only when the rings hold everything so far: what changes meanwhile is sent once, in its last state.
  if (!session_->feed.push()) return;
  const bool was_settled = has_said_all();
  const std::vector<channel::Command> commands = session_->publisher.advance();
  if (!session_->publisher.fault().empty()) report_fault(session_->publisher.fault());
  if (!commands.empty()) {
    if (was_settled) progress_ = Clock::now();
    marks_.push_back({session_->publisher.last_sequence(), cause_.value_or(Clock::now())});
    poll_interval_ = kFirstPoll;
    session_->feed.append(commands);
    session_->feed.push();
  }
  if (!session_->publisher.is_waiting()) cause_.reset();
}

void ChannelClient::report_rejections() {
  std::array<channel::Event, 64> events;
  for (uint32_t worker = 0; worker < mapping_->workers(); worker++) {
    while (const unsigned n = channel::take_some(mapping_->event_ring(worker), std::span<channel::Event>(events))) {
      for (unsigned i = 0; i < n; i++) {
        const channel::Event& event = events[i];
        if (event.type != channel::EventType::kCommandRejected) continue;
        report_fault(fmt::format("worker {} refused command {} (type {}, id {}): {}", worker, event.sequence,
                                 static_cast<unsigned>(event.command), event.id, words_for(event.detail)));
      }
    }
  }
}

void ChannelClient::arm_timer() {
  if (has_said_all()) {
    last_fault_ = session_->publisher.fault();
    return;
  }
  if (Clock::now() - progress_ > kStuckAfter) {
    progress_ = Clock::now();
    report_fault(
        fmt::format("worker {} has not applied any command for {} s", session_->feed.slowest(), kStuckAfter.count()));
  }
  pump_timer_.expires_after(poll_interval_);
  poll_interval_ = std::min<std::chrono::microseconds>(poll_interval_ * 2, kLongestPoll);
  pump_timer_.async_wait([this](error_code cancelled) {
    if (!cancelled) pump();
  });
}

void ChannelClient::report_fault(const std::string& fault) {
  if (fault == last_fault_) return;
  last_fault_ = fault;
  if (handlers_.fault) handlers_.fault(fault);
}

}  // namespace sluice::control
