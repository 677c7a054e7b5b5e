// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "controlplane/base/tls_files.h"

namespace sluice::control {

namespace asio = boost::asio;

EtcdClient::EtcdClient(asio::any_io_executor executor, config::Etcd etcd, size_t first)
    : executor_(std::move(executor)), etcd_(std::move(etcd)), member_(first) {
  for (const std::string& text : etcd_.endpoints) members_.push_back(*config::Endpoint::parse(text));
}

std::string EtcdClient::told_of(size_t member, const std::string& fault) const {
  return fmt::format("{}: {}", members_[member].to_string(), fault);
}

void EtcdClient::drop() {
  if (const auto connection = std::exchange(connection_, nullptr)) connection->close();
}

void EtcdClient::go_to(size_t member) {
  if (member != std::exchange(member_, member)) drop();
}

void EtcdClient::stop() {
  stopped_ = true;
  drop();
}

asio::awaitable<EtcdClient::Result<void>> EtcdClient::connect() {
  EtcdConnection::TlsContext tls;
  if (members_[member_].tls) {
    auto read = etcd_tls(etcd_);
    if (!read) co_return std::unexpected(fmt::format("fleet.etcd.{}: {}", read.error().setting, read.error().words));
    tls = std::move(*read);
  }
  const auto made = std::make_shared<EtcdConnection>(executor_, members_[member_], std::move(tls));
  connection_ = made;
  auto opened = co_await made->open();
  if (!opened) drop();
  if (opened && (stopped_ || connection_ != made)) co_return std::unexpected("stopped");
  co_return opened;
}

asio::awaitable<EtcdClient::Tried> EtcdClient::try_member(const etcd::Request& request) {
  // A connection that has idled may be gone when it is used: that says nothing of the member.
  for (bool is_fresh = connection_ == nullptr;; is_fresh = true) {
    if (connection_ == nullptr) {
      if (const auto made = co_await connect(); !made) co_return Tried{std::unexpected(made.error()), false};
    }
    const auto connection = connection_;
    auto answer = co_await connection->ask(request);
    if (answer && answer->status == 200) co_return Tried{std::move(answer->body), true};
    if (answer) {
      const etcd::Refusal refusal = etcd::refusal_from(answer->status, answer->body);
      if (refusal.is_passing) drop();
      co_return Tried{std::unexpected(refusal.words), !refusal.is_passing};
    }
    drop();
    if (is_fresh || stopped_) co_return Tried{std::unexpected(answer.error()), false};
  }
}

asio::awaitable<EtcdClient::Result<std::string>> EtcdClient::ask(const etcd::Request& request) {
  std::vector<std::string> faults(members_.size());
  for (size_t tries = 0; tries < members_.size() && !stopped_; tries++) {
    Tried tried = co_await try_member(request);
    was_refused_ = !tried.answer && tried.is_final;
    if (tried.answer) co_return std::move(tried.answer);
    std::string fault = told_of(member_, tried.answer.error());
    if (tried.is_final) co_return std::unexpected("etcd refused: " + std::move(fault));
    faults[member_] = std::move(fault);
    member_ = (member_ + 1) % members_.size();
  }
  co_return std::unexpected(fmt::format("etcd does not answer: {}", fmt::join(faults, "; ")));
}

asio::awaitable<EtcdClient::Result<void>> EtcdClient::begin(const etcd::Request& request) {
  drop();
  if (stopped_) co_return std::unexpected("stopped");
  auto begun = co_await connect();
  if (begun) {
    const auto connection = connection_;
    begun = co_await connection->begin(request);
  }
  if (begun && !stopped_) co_return begun;
  drop();
  std::string fault = told_of(member_, begun ? "stopped" : begun.error());
  member_ = (member_ + 1) % members_.size();
  co_return std::unexpected(std::move(fault));
}

asio::awaitable<EtcdClient::Result<std::string>> EtcdClient::next() {
  const auto connection = connection_;
  if (connection == nullptr) co_return std::unexpected("stopped");
  co_return co_await connection->next();
}

}  // namespace sluice::control
