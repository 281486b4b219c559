# frozen_string_literal: true

require "json"
require "rack"
require_relative "contract"

# The session that Rack's middleware has made for a request; it saves it when the call is over.
class RackSessions
  def initialize(request)
    @session = request.session
    @options = request.session_options
  end

  def load
    @session.to_hash if @session["epoch"]
  end

  def begin
    @session.clear
    renew
  end

  def renew
    @options[:renew] = true
  end

  def keep(held)
    held.each { |key, value| @session[key] = value }
  end

  def end
    @session.destroy
  end

  # A session that is not there is not made by asking for it.
  def leave
    @options[:skip] = true
  end
end

settings = JSON.parse(File.read(File.join(__dir__, "sessions.json")))
case settings["store"]
when "redis"
  require "rack/session/redis"
  use Rack::Session::Redis,
      redis_server: "redis://#{settings["address"]}:6379/0/sessions", expire_after: settings["expire_after"]
when "memcached"
  require "rack/session/dalli"
  use Rack::Session::Dalli,
      memcache_server: "#{settings["address"]}:11211", expire_after: settings["expire_after"], pool_size: 32
end

run(lambda do |env|
  request = Rack::Request.new(env)
  contract = Contract.new(RackSessions.new(request))
  status, text = contract.answer(request.request_method, request.path_info, request.body.read, request.GET)
  next [status, {}, []] unless text

  [status, { "Content-Type" => "application/json", "Content-Length" => text.bytesize.to_s }, [text]]
end)
