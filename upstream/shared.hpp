// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tls/io/reactor.hpp"

namespace edgeproxy::upstream {

class SharedConnections;

/// A connection to an endpoint that carries several requests at once (HTTP/2). In the list of its endpoint and reactor
/// while it takes requests; lives on by itself until those that it has are over.
class SharedConnection {
 public:
    SharedConnection(const SharedConnection&) = delete;
    SharedConnection& operator=(const SharedConnection&) = delete;

    /// Another request may begin on it now.
    virtual bool has_room() const = 0;
    /// Takes no more requests, and ends when it has none. It was taken out of its list.
    virtual void retire() = 0;

 protected:
    SharedConnection() = default;
    ~SharedConnection();
    /// Out of its list, if it is in one.
    void leave_list();

 private:
    friend class SharedConnections;
    SharedConnections* list_ = nullptr;
};

/// The shared connections to one endpoint that one reactor has, and the turn to open another: one request connects,
/// the others wait for what comes of it, so that a burst does not open a connection for each. All calls on the
/// reactor's thread.
class SharedConnections {
 public:
    SharedConnections() = default;
    SharedConnections(const SharedConnections&) = delete;
    SharedConnections& operator=(const SharedConnections&) = delete;
    /// REQUIRES: nobody waits.
    ~SharedConnections();

    /// One with room, or null.
    SharedConnection* find() const;
    /// Whether the endpoint is thought to speak HTTP/2, where it may choose; as the last connect found.
    bool expected() const { return expected_; }
    void expect(bool http2) { expected_ = http2; }
    /// False when the endpoint has left: it takes no request but the one that has opened it, and is to retire.
    bool add(SharedConnection& connection);
    /// All retire, and nothing is added from now on.
    void close();

    /// The turn to connect. RAII: when it ends, whoever waits looks again.
    class Turn {
     public:
        Turn() = default;
        ~Turn() { end(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        /// False when somebody else has it.
        bool take(SharedConnections& connections);
        void end();

     private:
        SharedConnections* connections_ = nullptr;
    };
    /// A place among those who wait for the end of a turn: `event` is set then. RAII.
    class Wait {
     public:
        Wait(SharedConnections& connections, io::Event& event);
        ~Wait();
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;

     private:
        SharedConnections& connections_;
        io::Event& event_;
    };

 private:
    friend class SharedConnection;
    std::vector<SharedConnection*> all_;
    std::vector<io::Event*> waiting_;
    bool connecting_ = false, closed_ = false, expected_ = true;
};

}  // namespace edgeproxy::upstream
