"""The guard: the last judge between any policy and the motors.

One call per period: ``step(measured, now) -> Command``.  It knows no clock, no ROS and no logging; time and
measurements are arguments and what it did is in :meth:`Guard.report`.  Same inputs, same bits.

Order of one step: measurements are judged (``health``), the state machine follows (``machine``), a pending chunk is
joined (``timeline``), the joints are moved one period within their limits (``limiter``), torque is bounded
(``torque``).  ``DAMPING`` means, on ``lowcmd``, stiffness falling to zero over damping; on ``arm_sdk``, where the
robot balances itself, the pose is held while the weight falls to zero, then silence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import RobotState
from neon_ros.errors import Refused, refuse
from neon_ros.guard.admission import AdmissionConfig, AdmittedChunk, check_reach
from neon_ros.guard.collision import Clearance
from neon_ros.guard.command import Command, GuardStatus, interventions
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.foresight import Foresight, foresee, pursue
from neon_ros.guard.health import Finding, Health
from neon_ros.guard.limiter import REASONS, TORQUE, Limiter
from neon_ros.guard.limits import motion_limits
from neon_ros.guard.machine import MOVING, Event, Machine, State, follow
from neon_ros.guard.timeline import Timeline
from neon_ros.guard.torque import torque_scale
from neon_ros.robot.gains import DAMPING_KD, MODE_GAINS, gains
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.variants import Variant

Vector = NDArray[np.float64]

_QUIET_AFTER = 0.1  # [s] of weight 0 before an arm_sdk guard falls silent
_LIMP_BEFORE_RELEASE = 2.0  # [s] of damping before a disarmed lowcmd guard falls silent
_FARTHEST = 0.6  # [s] ahead that a chunk may begin: what admission allows, and some
_EARLY, _REGULAR, _LATE = 0.25, 0.75, 1.5  # periods: path ahead, unless the step came regularly; path has jumped


class Guard:
    """Turn admitted chunks and measurements into commands that can never leave the limits.

    :param mode: which joints move, through which door.
    :param config: settings.
    """

    def __init__(self, mode: ControlMode, config: GuardConfig | None = None) -> None:
        self.mode = mode
        self.config = GuardConfig() if config is None else config
        self.machine = Machine()
        self.health: Health | None = None
        self._arm_sdk = mode.topic == "arm_sdk"
        chosen = gains(MODE_GAINS[mode.name])
        self._gains_kp, self._gains_kd = chosen.kp, chosen.kd
        self._zeros, self._still = np.zeros(NUM_JOINTS), np.zeros(3)
        self._base_step = self.config.period * np.array(
            [self.config.base_acceleration, self.config.base_acceleration, self.config.base_yaw_acceleration]
        )
        self._inhibited: dict[str, str] = {}
        self._path_time = self._authority = self._elapsed = 0.0
        self._now = -math.inf
        self._limp = self._yields = self._disarming = False
        self._released_at = math.inf
        self._pending: AdmittedChunk | None = None
        self._ahead: Foresight | None = None
        self._newest = (-1, -1)
        self._base = np.zeros(3)
        self._full_q, self._full_dq = np.zeros((2, NUM_JOINTS))
        self._reasons: NDArray[np.int8] = np.zeros(NUM_JOINTS, dtype=np.int8)
        self._counts = np.zeros((NUM_JOINTS, len(REASONS)), dtype=np.int64)
        self._places = np.arange(NUM_JOINTS) * len(REASONS)
        self._steps = self._sent = self._joined = self._expired = self._early = self._late = 0

    # -- setting up ------------------------------------------------------------------------------------------

    def configure(self, variant: Variant) -> None:
        """Adopt the variant that LowState reports; the state becomes INACTIVE.

        :raises Refused: while the guard has or gives up authority.
        :raises ConfigError: when the settings would widen the variant's limits.
        """
        limits = motion_limits(variant, self.config.limits)
        present = variant.present()
        moved = np.zeros(NUM_JOINTS, dtype=bool)
        moved[[JOINT_INDEX[name] for name in self.mode.joint_names]] = True
        self.machine.handle(Event.CONFIGURE, f"configured as {variant.urdf}", max(self._now, 0.0))
        self._variant = variant
        self._moved = moved & present
        self._rows = np.flatnonzero(self._moved)
        # arm_sdk takes waist and arms under its weight, whether a policy moves them or not; legs stay with the robot.
        self._held = present & (np.arange(NUM_JOINTS) >= 12) if self._arm_sdk else present
        self._kp, self._kd = self._gains_kp * self._held, self._gains_kd * self._held
        self._damping_kd = DAMPING_KD * self._held
        allowed = variant.limits()
        tolerance = AdmissionConfig().position_tolerance
        self._lowest, self._highest = allowed.lower - tolerance, allowed.upper + tolerance
        self._effort = allowed.effort * self.config.torque_margin
        self.health = Health(self.config, variant)
        part = limits.take(self._rows)
        self.limiter = Limiter(part, self.config.period)
        self.timeline = Timeline(part, self.config.timeline)
        self.clearance = Clearance(part, self._rows, self.config, not self._arm_sdk, variant.mode_machine)
        self._pending = None

    def inhibit(self, name: str, reason: str | None) -> None:
        """Forbid arming for a cause that only the caller sees (second writer, battery, motor fault); None lifts it."""
        if reason is None:
            self._inhibited.pop(name, None)
        else:
            self._inhibited[name] = reason

    def fault(self, reason: str, now: float, *, pause: bool = False) -> None:
        """React to a fault that only the caller can see: DAMPING, or HOLD when ``pause``."""
        self.react(Finding(Event.PAUSE if pause else Event.FAULT, reason), now)

    def impair(self, reason: str) -> None:
        """Keep the robot in HOLD, and from being armed, for as long as ``reason`` is not empty (F20)."""
        if self.health is not None:
            self.health.trouble = reason

    def submit(self, chunk: AdmittedChunk) -> None:
        """Offer a chunk; it is joined when its first step is due.

        :raises Refused: when it moves other joints than the mode does, is not finite or not newer; nothing has changed.
        """
        if self.health is None:
            raise Refused(refuse("chunk", "a chunk", "chunks after the variant is known (UNCONFIGURED)"))
        steps = len(chunk.q)
        if chunk.q.shape != (steps, NUM_JOINTS) or chunk.base_velocity.shape != (steps, 3) or steps < 2:
            shapes = (chunk.q.shape, chunk.base_velocity.shape)
            raise Refused(refuse("chunk shapes", shapes, "(H, 29) and (H, 3), H > 1"))
        if chunk.moved.shape != (NUM_JOINTS,) or np.count_nonzero(chunk.moved != self._moved):
            names = [name for name, moves in zip(JOINT_NAMES, chunk.moved, strict=False) if moves]
            raise Refused(refuse("chunk joints", names, f"the {len(self._rows)} joints of {self.mode.name}"))
        total = float(chunk.q.sum() + chunk.base_velocity.sum() + chunk.t0 + chunk.dt)
        if not math.isfinite(total) or not 0.005 <= chunk.dt <= 0.5:
            raise Refused(refuse("chunk values", total, "finite values and dt within 0.005 to 0.5 s"))
        number = (chunk.epoch, chunk.sequence)
        if number <= self._newest:
            raise Refused(refuse("chunk (epoch, sequence)", number, f"newer than {self._newest}"))
        check_reach(chunk, self._lowest, self._highest)
        self._newest = number
        self._pending = chunk

    # -- the operator ----------------------------------------------------------------------------------------

    def request(self, kind: str, now: float) -> None:
        """Take an operator's request.

        :param kind: ``arm``, ``disarm`` or ``stop``; ``stop`` is never refused.
        :param now: [s, steady clock].
        :raises Refused: saying why; then nothing has changed.
        """
        if kind == "arm":
            self._arm(now)
        elif kind == "disarm":
            self.machine.handle(Event.DISARM, "disarmed by the operator", now)
            self._disarming = self.machine.state is State.DAMPING
        elif kind == "stop":
            self.machine.handle(Event.STOP, "stopped by the operator", now)
        else:
            raise Refused(refuse("request", kind, "arm, disarm or stop"))

    def _arm(self, now: float) -> None:
        """Begin ARMING from the measured pose."""
        state, health = self.machine.state, self.health
        if health is None or health.state is None:
            follow(state, Event.ARM)
            raise Refused(refuse("cannot arm: LowState", "none", "a fresh one"))
        if state not in MOVING:
            if self._authority > 0.0:
                raise Refused(refuse("cannot arm: authority", f"{self._authority:.2f}", "0, once DAMPING has let go"))
            if self._inhibited:
                raise Refused(refuse("cannot arm", "; ".join(self._inhibited.values()), "none of these"))
            if objection := health.objection(now):
                raise Refused(objection)
        self.machine.handle(Event.ARM, "armed by the operator", now)
        self._full_q = np.where(self._held, health.state.q, 0.0)
        self._full_dq = np.zeros(NUM_JOINTS)
        self.limiter.start(self._full_q[self._rows])
        self.clearance.start(self._full_q, health.state.q)
        self.timeline.clear()
        health.forget_following()
        self._pending = None
        self._base = np.zeros(3)
        self._path_time = now - self.config.period
        self._limp = self._yields = self._disarming = False
        self._released_at = math.inf

    # -- the period ------------------------------------------------------------------------------------------

    def foresee(self) -> None:
        """Work out the motion of the next period in advance; :meth:`step` is then quicker, and gives the same bits."""
        self._ahead = None
        if self.health is None or self.machine.state is not State.ACTIVE:
            return
        chunk, at = self._pending, self._path_time + self.config.period
        if chunk is not None and not chunk.t0 <= at - self.config.period < chunk.end:
            chunk = None
        if chunk is not None or self.timeline.chunk is not None:
            self._ahead = foresee(self.limiter, self.timeline, at, chunk)

    def step(self, measured: RobotState | None, now: float) -> Command:
        """Return the command of this period.

        :param measured: the latest LowState; None when there is none.
        :param now: [s, steady clock]; a time that is not finite or goes back counts as no time passing.
        """
        self._steps += 1
        if not now >= self._now or now == math.inf:
            now = self._now if math.isfinite(self._now) else 0.0
        self._elapsed, self._now = now - self._now, now
        health, ahead, self._ahead = self.health, self._ahead, None
        if health is None:
            return self._silent()
        health.observe(measured, now)
        good = health.state
        if good is not None and self.machine.state in MOVING:
            health.compare(self._full_q - good.q, self._held, now)
        armed = self.machine.state not in (State.UNCONFIGURED, State.INACTIVE)
        if armed and (finding := health.findings(now)) is not None:
            self.react(finding, now)
        self._run_timers(now)
        state = self.machine.state
        if good is None or (state not in MOVING and state is not State.DAMPING):
            self._authority = 0.0
            return self._silent()
        advance, jumped = self._advance_path(now)
        self._reasons = np.zeros(NUM_JOINTS, dtype=np.int8)
        self.limiter.derate(health.part, self._rows)
        if advance:
            if state is State.DAMPING:
                self._base = np.zeros(3)
                self.limiter.stop()
                self.clearance.follow(self.limiter, self._full_q, good.q)
            else:
                self._move(good.q, health.findings(now), jumped, ahead)
            self._full_q[self._rows] = self.limiter.state[0]
            self._full_dq[self._rows] = self.limiter.state[1]
            self._ramp_authority()
        return self._command(good, self._effort * health.part)

    def react(self, finding: Finding, now: float) -> None:
        """Hand a fault to the state machine, or what only the caller sees: a stop on the remote, a lost robot."""
        self.machine.handle(finding.event, finding.reason, now)
        if self.machine.state is State.DAMPING:
            self._limp = self._limp or finding.limp
            self._yields = self._yields or finding.yields

    def _run_timers(self, now: float) -> None:
        """Let ARMING, staleness, HOLD and the release run out."""
        machine, config = self.machine, self.config
        if machine.state is State.ARMING and now - machine.since >= config.arm_seconds:
            machine.handle(Event.ARMED, "armed; holding until a chunk comes", now)
        if machine.state is State.ACTIVE and self.timeline.chunk is not None:
            after = now - self.timeline.chunk.end
            if after > config.stale_after and self._due(now) is None:
                machine.handle(Event.PAUSE, f"no new chunk {config.stale_after * 1e3:.0f} ms after the last step", now)
        if machine.state is State.HOLD and now - machine.since >= config.hold_seconds:
            machine.handle(Event.FAULT, f"HOLD for {config.hold_seconds:g} s ({machine.reason})", now)
        if machine.state is State.DAMPING and self._authority <= 0.0:
            self._released_at = min(self._released_at, now)
            wait = _QUIET_AFTER if self._arm_sdk else _LIMP_BEFORE_RELEASE
            if self._disarming and now - self._released_at >= wait:
                machine.handle(Event.RELEASED, "disarmed by the operator", now)

    def _due(self, now: float) -> AdmittedChunk | None:
        """Return the pending chunk if it can be followed now; drop one that has expired or lies too far ahead."""
        chunk = self._pending
        if chunk is not None and not now < chunk.end <= now + _FARTHEST + (len(chunk.q) - 1) * chunk.dt:
            self._pending = None
            self._expired += 1
            return None
        return chunk if chunk is not None and chunk.t0 <= now else None

    def _advance_path(self, now: float) -> tuple[bool, bool]:
        """Move the time of the path on by exactly one period; return (whether, whether it jumped).

        The path runs on its own time, one period per step, so that a step a little early or late changes no bit.
        Much too late a step lets the path jump by whole periods, and one on time for which the path has run ahead lets
        it wait for one: the reference then fades onto it.  Right after the one before it repeats the last command.
        """
        period = self.config.period
        ahead = now - self._path_time < _EARLY * period
        if ahead and self._elapsed < _REGULAR * period:
            self._early += 1
            return False, False
        self._path_time += 0.0 if ahead else period
        late = now - self._path_time > _LATE * period
        if late:
            self._path_time += (now - self._path_time) // period * period
        self._late += late or ahead
        return True, late or ahead

    def _move(self, measured: Vector, finding: Finding | None, jumped: bool, ahead: Foresight | None) -> None:
        """Move the joints one period: along the timeline when ACTIVE, to rest otherwise."""
        machine, timeline, at = self.machine, self.timeline, self._path_time
        chunk = self._due(at - self.config.period) if machine.state is not State.ARMING and finding is None else None
        if chunk is not None:
            self._pending = None
            self._joined += 1
            machine.handle(Event.RESUME, "a new chunk came", self._now)
            machine.reason = "following chunks"
        wanted = self._still
        slowing = machine.state is State.HOLD and at >= timeline.end
        if chunk is not None or ((machine.state is State.ACTIVE or slowing) and timeline.chunk is not None):
            if ahead is not None and ahead.fits(at, chunk, self.limiter.derated):
                self.limiter, self.timeline, sample = ahead.limiter, ahead.timeline, ahead.sample
            else:
                sample = pursue(self.limiter, timeline, at, timeline.chunk if jumped and chunk is None else chunk)
            self.clearance.hold_back(self.limiter, self._full_q, measured)
            wanted = sample.base_velocity
        else:
            self.limiter.stop()
            self.clearance.follow(self.limiter, self._full_q, measured)
        self._reasons[self._rows] = self.limiter.reasons
        self._base = self._base + np.maximum(np.minimum(wanted - self._base, self._base_step), -self._base_step)

    def _ramp_authority(self) -> None:
        """Let the weight (arm_sdk) or the stiffness (lowcmd) rise while ARMING, fall while DAMPING."""
        config = self.config
        if self.machine.state is State.DAMPING:
            if self._limp and not self._arm_sdk:
                self._authority = 0.0
            gently = self._arm_sdk and not self._yields
            seconds = config.release_seconds if gently else config.damp_seconds
            self._authority = max(0.0, self._authority - config.period / seconds)
        else:
            self._authority = min(1.0, self._authority + config.period / config.arm_seconds)

    # -- commands --------------------------------------------------------------------------------------------

    def _command(self, measured: RobotState, effort: Vector) -> Command:
        """Return the command for the present state, torque within ``effort`` (29,) [N m]."""
        state, authority = self.machine.state, self._authority
        q, dq = self._full_q.copy(), self._full_dq.copy()
        if self._arm_sdk:
            kp, kd, weight = self._kp, self._kd, authority
        elif state is State.DAMPING:
            kp, kd, weight = self._kp * authority, self._damping_kd, 0.0
            if authority <= 0.0:
                q, dq = np.where(self._held, measured.q, 0.0), np.zeros(NUM_JOINTS)
        else:
            kp, kd, weight = self._kp * authority, self._kd, 0.0
        scale = torque_scale(q, dq, self._zeros, kp, kd, measured.q, measured.dq, effort)
        cut = scale < 1.0
        if np.count_nonzero(cut):
            kp, kd = kp * scale, kd * scale
            np.copyto(self._reasons, TORQUE, where=cut & (self._reasons == 0))  # never a joint without gains
        self._count()
        writes = not (self._arm_sdk and state is State.DAMPING and self._now - self._released_at >= _QUIET_AFTER)
        self._sent += writes
        return Command(q, dq, np.zeros(NUM_JOINTS), kp, kd, weight, self._base.copy(), state, writes)

    def _count(self) -> None:
        """Count the interventions of this period, by joint and reason."""
        if np.count_nonzero(self._reasons):
            self._counts.reshape(-1)[self._places + self._reasons] += 1

    def _silent(self) -> Command:
        """Return a command that is not to be sent."""
        self._base = np.zeros(3)
        self._reasons = np.zeros(NUM_JOINTS, dtype=np.int8)
        q, dq, tau, kp, kd = np.zeros((5, NUM_JOINTS))
        return Command(q, dq, tau, kp, kd, 0.0, np.zeros(3), self.machine.state, False)

    def report(self) -> GuardStatus:
        """Return what the guard is doing and has done."""
        self._counts[:, 0] = 0  # of joints that were not held back while others were
        limited, by_reason = np.flatnonzero(self._reasons), self._counts.sum(axis=0).tolist()
        health = self.health
        chunk = None if health is None else self.timeline.chunk
        return GuardStatus(
            state=self.machine.state,
            reason=self.machine.reason,
            steps=self._steps,
            commands_sent=self._sent,
            chunks_joined=self._joined,
            chunks_expired=self._expired,
            limited_joints=tuple(JOINT_NAMES[i] for i in limited),
            limited_reasons=tuple(REASONS[self._reasons[i]] for i in limited),
            limit_count=sum(by_reason),
            limits_by_reason=dict(zip(REASONS[1:], by_reason[1:], strict=True)),
            counts=interventions(self._counts),
            clearance=-1.0 if health is None else self.clearance.least,
            early_steps=self._early,
            late_steps=self._late,
            outliers=0 if health is None else health.outliers,
            transitions=self.machine.transitions,
            chunk_age=-1.0 if chunk is None else self._now - chunk.t0,
            remaining=-math.inf if chunk is None else chunk.end - self._now,
            authority=self._authority,
            tilt=0.0 if health is None else health.tilt,
            hottest=0.0 if health is None else health.hottest,
        )
