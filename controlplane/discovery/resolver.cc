// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <sys/time.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <random>
#include <stdexcept>
#include <utility>

#include "config/choices.h"
#include "controlplane/discovery/dns_message.h"
#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

namespace asio = boost::asio;

namespace {

constexpr int kTimeoutMs = 2000;  // of the first try at a server
constexpr int kTries = 2;         // at each

/// The library's own state, for as long as the process lives.
void begin_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS) throw std::runtime_error(std::string("c-ares: ") + ares_strerror(status));
}

std::string in_words(int status) {
  if (status == ARES_ENOTFOUND) return "there is no such name";
  if (status == ARES_ECONNREFUSED) return "no server answers, or all say SERVFAIL";  // as for broken signatures
  if (status == ARES_ENODATA) return "the name has no such records";
  std::string words = ares_strerror(status);
  if (!words.empty() && words[0] >= 'A' && words[0] <= 'Z') words[0] = static_cast<char>(words[0] - 'A' + 'a');
  return words;
}

}  // namespace

/// A channel of c-ares, the sockets that it opens, and its timer. Handlers that come late find it gone.
struct Resolver::Channel : std::enable_shared_from_this<Channel> {
  struct Socket {
    explicit Socket(asio::io_context& io, int fd) : descriptor(io, fd) {}
    asio::posix::stream_descriptor descriptor;
    bool reads = false, writes = false;           // wanted
    bool is_reading = false, is_writing = false;  // waited for
  };
  struct Question {
    std::weak_ptr<Channel> channel;
    std::string what;
    HeardMessage heard;
  };

  explicit Channel(asio::io_context& to) : io(to), timer(to) {}

  static void on_socket(void* self, ares_socket_t fd, int reads, int writes) {
    static_cast<Channel*>(self)->follow(fd, reads != 0, writes != 0);
  }
  static void on_answer(void* question, int status, int timeouts, unsigned char* message, int bytes);

  void follow(int fd, bool reads, bool writes);
  void wait(int fd);
  void process(int readable, int writable);
  void set_timer();

  asio::io_context& io;
  asio::steady_timer timer;
  std::map<int, std::shared_ptr<Socket>> sockets;
  ares_channel channel = nullptr;
};

void Resolver::Channel::on_answer(void* asked, int status, int, unsigned char* message, int bytes) {
  const std::unique_ptr<Question> question(static_cast<Question*>(asked));
  const auto asker = question->channel.lock();
  if (status == ARES_EDESTRUCTION || asker == nullptr) return;
  Message answer = std::unexpected(question->what + ": " + in_words(status));
  if (status == ARES_SUCCESS) answer = std::vector<uint8_t>(message, message + bytes);
  // Posted: whoever hears it may end the resolver, which the library would not survive here.
  asio::post(asker->io,
             [self = question->channel, heard = std::move(question->heard), answer = std::move(answer)]() mutable {
               if (self.lock() != nullptr) heard(std::move(answer));
             });
}

void Resolver::Channel::follow(int fd, bool reads, bool writes) {
  const auto known = sockets.find(fd);
  if (!reads && !writes) {  // c-ares is about to close it
    if (known == sockets.end()) return;
    known->second->descriptor.release();
    sockets.erase(known);
    return;
  }
  auto& socket = known == sockets.end() ? sockets[fd] : known->second;
  if (socket == nullptr) socket = std::make_shared<Socket>(io, fd);
  socket->reads = reads;
  socket->writes = writes;
  wait(fd);
}

void Resolver::Channel::wait(int fd) {
  const auto found = sockets.find(fd);
  if (found == sockets.end()) return;
  const std::shared_ptr<Socket>& socket = found->second;
  const auto begin = [&](bool wanted, bool Socket::* is_waiting, asio::posix::stream_descriptor::wait_type kind,
                         bool is_read) {
    if (!wanted || (*socket).*is_waiting) return;
    (*socket).*is_waiting = true;
    socket->descriptor.async_wait(kind, [self = weak_from_this(), weak = std::weak_ptr(socket), is_waiting, fd,
                                         is_read](const boost::system::error_code& cancelled) {
      const auto alive = self.lock();
      const auto waited = weak.lock();
      if (alive == nullptr || waited == nullptr) return;
      (*waited).*is_waiting = false;
      if (cancelled || !alive->sockets.contains(fd)) return;
      alive->process(is_read ? fd : ARES_SOCKET_BAD, is_read ? ARES_SOCKET_BAD : fd);
      alive->wait(fd);
    });
  };
  begin(socket->reads, &Socket::is_reading, asio::posix::stream_descriptor::wait_read, true);
  begin(socket->writes, &Socket::is_writing, asio::posix::stream_descriptor::wait_write, false);
}

void Resolver::Channel::process(int readable, int writable) {
  if (channel == nullptr) return;
  ares_process_fd(channel, readable, writable);
  set_timer();
}

void Resolver::Channel::set_timer() {
  timeval left{};
  if (ares_timeout(channel, nullptr, &left) == nullptr) {
    timer.cancel();
    return;
  }
  timer.expires_after(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
  timer.async_wait([self = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto alive = self.lock();
    if (!cancelled && alive != nullptr) alive->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  });
}

Resolver::Resolver(asio::io_context& io, const std::vector<config::SocketAddress>& servers)
    : channel_(std::make_shared<Channel>(io)) {
  begin_library();
  ares_options options{};
  options.timeout = kTimeoutMs;
  options.tries = kTries;
  options.sock_state_cb = Channel::on_socket;
  options.sock_state_cb_data = channel_.get();
  const int wanted = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&channel_->channel, &options, wanted);
  if (status == ARES_SUCCESS && !servers.empty()) {
    std::string list;
    for (const config::SocketAddress& server : servers) list += (list.empty() ? "" : ",") + server.to_string();
    status = ares_set_servers_ports_csv(channel_->channel, list.c_str());
  }
  if (status != ARES_SUCCESS) {
    if (channel_->channel != nullptr) ares_destroy(channel_->channel);
    throw std::runtime_error(std::string("c-ares: ") + ares_strerror(status));
  }
}

Resolver::~Resolver() {
  ares_destroy(std::exchange(channel_->channel, nullptr));
}

void Resolver::ask(const std::string& name, config::DnsType type, Heard heard) {
  const std::string what = fmt::format("{} {}", config::name_of(type), name);
  auto question = std::make_unique<Channel::Question>(channel_, what, [=, heard = std::move(heard)](Message message) {
    if (!message) return heard(std::unexpected(std::move(message.error())));
    Answer answer = records_from(*message, type);
    if (answer && answer->empty()) answer = std::unexpected(in_words(ARES_ENODATA));  // aliases that lead nowhere
    if (!answer) answer.error().insert(0, what + ": ");
    heard(std::move(answer));
  });
  ares_query(channel_->channel, name.c_str(), ns_c_in, wire_type(type), Channel::on_answer, question.release());
  channel_->set_timer();
}

void Resolver::ask_authenticated(const std::string& name, int wire_type, HeardMessage heard) {
  const std::string what = fmt::format("{} {}", name_of_wire_type(wire_type), name);
  unsigned char* bytes = nullptr;
  int size = 0;
  const auto id = static_cast<unsigned short>(std::random_device{}());
  const int status = ares_create_query(name.c_str(), ns_c_in, wire_type, id, 1, &bytes, &size, 0);
  const std::unique_ptr<unsigned char, decltype(&ares_free_string)> owner(bytes, &ares_free_string);
  auto question = std::make_unique<Channel::Question>(channel_, what, std::move(heard));
  if (status != ARES_SUCCESS) return Channel::on_answer(question.release(), status, 0, nullptr, 0);
  set_authentic_data({bytes, static_cast<size_t>(size)});
  ares_send(channel_->channel, bytes, size, Channel::on_answer, question.release());
  channel_->set_timer();
}

}  // namespace sluice::control
