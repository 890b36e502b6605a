// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Befalls reports whether the user of a signal with this cause is whose session, terminal or process it was, unless somebody has asked
// for it. He has not done it then.
func (c Cause) Befalls() bool {
	switch c {
	case CauseSessionEnd, CauseSessionKill, CauseTerminalKey, CauseTerminalHangup, CauseParentDeath, CausePIDNamespaceEnd, CauseTimer,
		CauseCPULimit, CauseFileSizeLimit:
		return true
	}
	return false
}

// Causes are all causes that there are names for, those of the kernel first.
func Causes() []Cause {
	return []Cause{
		CauseOOM, CauseCrash, CauseSeccomp, CauseCPULimit, CauseFileSizeLimit, CauseTerminalKey, CauseTerminalHangup,
		CauseCgroupKill, CausePIDNamespaceEnd, CauseParentDeath, CauseTimer,
		CauseServiceStop, CauseServiceRestart, CauseServiceReload, CauseServiceKill, CauseMainProcessEnd,
		CauseStopTimeout, CauseStartTimeout, CauseRuntimeLimit, CauseWatchdog, CauseDependency, CauseOOMPolicy,
		CauseMemoryPressure, CauseSwapPressure, CauseSessionEnd, CauseSessionKill, CauseShutdown, CauseContainerStop,
	}
}
